/* Comforts for the forms of steps, which work without them: rows are added on the spot, only the units of the chosen goods are
   offered, and a scanner's Enter does not send the form. */
(function () {
  "use strict";
  var doc = document;
  function all(selector, root) { return Array.prototype.slice.call((root || doc).querySelectorAll(selector)); }

  // Only the units of the goods chosen in the same row; the goods' own unit stands first.
  function offerUnits(choice) {
    var row = choice.closest("[data-row]");
    var units = row && row.querySelector("select[name$='-unit']");
    var option = choice.options[choice.selectedIndex];
    if (!units || !option) { return; }
    if (!units.everything) { units.everything = all("option", units).map(function (each) { return [each.value, each.text]; }); }
    var offered = option.dataset.units ? JSON.parse(option.dataset.units) : units.everything;
    var before = units.value;
    units.textContent = "";
    offered.forEach(function (pair) { units.add(new Option(pair[1], pair[0])); });
    units.value = offered.some(function (pair) { return pair[0] === before; }) ? before : offered[0][0];
  }
  function watch(root) {
    all("select[name$='-lot'], select[name$='-product']", root).forEach(function (choice) {
      choice.addEventListener("change", function () { offerUnits(choice); });
      if (choice.value) { offerUnits(choice); }
    });
  }
  watch(doc);
  // Forms that a script puts into the page (the field app).
  doc.addEventListener("form-inserted", function (event) { watch(event.target); });

  // One more row: a copy of the last one with the next number, emptied.
  doc.addEventListener("click", function (event) {
    var button = event.target.closest("[data-add]");
    if (!button) { return; }
    var group = button.closest("[data-group]");
    var rows = all("[data-row]", group);
    var last = rows[rows.length - 1];
    var count = group.querySelector("[data-count]");
    if (!last || rows.length >= 50) { return; }
    event.preventDefault();
    var key = group.dataset.group;
    var next = rows.length;
    var copy = last.cloneNode(true);
    copy.dataset.row = String(next);
    var old = key + "-" + (next - 1) + "-";
    var fresh = key + "-" + next + "-";
    all("*", copy).forEach(function (each) {
      ["id", "name", "for", "aria-describedby"].forEach(function (name) {
        var value = each.getAttribute(name);
        if (value && value.indexOf(old) >= 0) { each.setAttribute(name, value.split(old).join(fresh)); }
      });
      if (each.matches("input[type=radio], input[type=checkbox]")) { each.checked = false; }
      else if (each.matches("input")) { each.value = ""; }
      else if (each.matches("select")) {
        var units = last.querySelector("select[name='" + each.name.replace(fresh, old) + "']");
        each.value = /-(unit|product)$/.test(each.name) && units ? units.value : each.value;
        if (/-lot$/.test(each.name)) { each.selectedIndex = 0; }
      }
      each.removeAttribute("aria-invalid");
      each.classList.remove("bad", "wrong");
    });
    all(".error", copy).forEach(function (each) { each.remove(); });
    var name = copy.querySelector(".step-row-name");
    if (name) { name.textContent = String(next + 1); }
    last.insertAdjacentElement("afterend", copy);
    count.value = String(next + 1);
    watch(copy);
    var first = copy.querySelector("select, input:not([type=hidden])");
    if (first) { first.focus(); }
  });

  // A scanner ends with Enter: go on to the next control instead of sending a half-filled form.
  doc.addEventListener("keydown", function (event) {
    var box = event.key === "Enter" && event.target.closest ? event.target.closest("input[data-scan]") : null;
    if (!box || !box.form || !box.form.classList.contains("form")) { return; }
    event.preventDefault();
    var controls = all("input:not([type=hidden]), select, textarea, button", box.form).filter(function (each) { return each.offsetParent && !each.matches(".scan-button"); });
    var next = controls[controls.indexOf(box) + 1];
    if (next) { next.focus(); }
  });
})();
