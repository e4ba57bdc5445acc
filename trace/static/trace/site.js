/* Small comforts on top of pages that work without them. No inline code (content security policy), no library. */
(function () {
  "use strict";
  var doc = document;
  function all(selector, root) { return Array.prototype.slice.call((root || doc).querySelectorAll(selector)); }

  // The error summary takes the focus, so that a screen reader starts there and a phone scrolls there.
  var summary = doc.querySelector("[data-focus]");
  if (summary) { summary.focus(); }

  // A link to a field focuses the field, not only scrolls to it.
  all(".error-summary a").forEach(function (link) {
    link.addEventListener("click", function (event) {
      var target = doc.getElementById(link.getAttribute("href").slice(1));
      if (!target) { return; }
      event.preventDefault();
      target.focus({ preventScroll: true });
      (target.closest(".field") || target).scrollIntoView({ block: "start" });
    });
  });

  // A form is sent once. The server refuses a doubled entry anyway; this saves the person the question.
  all("form.form, form[data-once]").forEach(function (form) {
    if ((form.getAttribute("method") || "get").toLowerCase() !== "post") { return; }
    form.addEventListener("submit", function (event) {
      if (form.dataset.sent) { event.preventDefault(); return; }
      form.dataset.sent = "1";
      form.setAttribute("aria-busy", "true");
      // Going back in history shows the page as it was: let it be sent again.
      window.addEventListener("pageshow", function () { delete form.dataset.sent; form.removeAttribute("aria-busy"); });
      setTimeout(function () { delete form.dataset.sent; form.removeAttribute("aria-busy"); }, 8000);
    });
  });

  // Clocks run on between two loads of the page.
  function span(data, milliseconds) {
    var minutes = Math.floor(Math.abs(milliseconds) / 60000);
    var parts = [[Math.floor(minutes / 1440), data.d], [Math.floor(minutes % 1440 / 60), data.h], [minutes % 60, data.m]];
    var kept = parts.filter(function (part) { return part[0]; });
    if (!kept.length) { kept = [parts[2]]; }
    return kept.slice(0, 2).map(function (part) { return part[1].replace("%(n)s", part[0]); }).join(" ");
  }
  function tick() {
    all("[data-due]").forEach(function (clock) {
      var left = new Date(clock.dataset.due) - new Date();
      clock.textContent = (left > 0 ? clock.dataset.left : clock.dataset.late).replace("%(span)s", span(clock.dataset, left));
      var box = clock.closest(".clock");
      if (box && left <= 0) { box.classList.remove("tone-good", "tone-attention"); box.classList.add("tone-danger"); }
    });
  }
  if (doc.querySelector("[data-due]")) { setInterval(tick, 30000); }

  doc.addEventListener("click", function (event) {
    var copy = event.target.closest("[data-copy]");
    if (copy && navigator.clipboard) {
      navigator.clipboard.writeText(copy.dataset.copy).then(function () {
        copy.classList.add("copied");
        setTimeout(function () { copy.classList.remove("copied"); }, 2000);
      });
    }
    if (event.target.closest("[data-print]")) { window.print(); }
    // One open box in the header at a time.
    all("details.who[open]").forEach(function (box) { if (!box.contains(event.target)) { box.open = false; } });
  });
  doc.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") { return; }
    all("details.who[open], details.nav-narrow[open]").forEach(function (box) {
      box.open = false;
      box.querySelector("summary").focus();
    });
  });
  // Buttons that only work with a script are hidden until one runs.
  all("[data-copy][hidden], [data-print][hidden]").forEach(function (button) { button.hidden = false; });

  all("select[data-autosubmit]").forEach(function (select) {
    select.addEventListener("change", function () { select.form.submit(); });
  });

  // Typing narrows the rows of a table that is already on the page.
  all("input[data-filter-table]").forEach(function (box) {
    var table = doc.querySelector(box.dataset.filterTable);
    if (!table) { return; }
    box.hidden = false;
    box.addEventListener("input", function () {
      var words = box.value.trim().toLowerCase();
      all("tbody tr", table).forEach(function (row) { row.hidden = row.textContent.toLowerCase().indexOf(words) < 0; });
    });
  });

  // What was chosen in a file field, with small pictures.
  all("input[type=file]").forEach(function (input) {
    var list = doc.createElement("ul");
    list.className = "chosen-files";
    input.insertAdjacentElement("afterend", list);
    input.addEventListener("change", function () {
      list.textContent = "";
      Array.prototype.forEach.call(input.files, function (file) {
        var item = doc.createElement("li");
        item.textContent = file.name;
        if (/^image\/(png|jpeg)$/.test(file.type) && file.size < 12e6) {
          var reader = new FileReader();
          reader.onload = function () {
            var image = doc.createElement("img");
            image.alt = "";
            image.src = reader.result;
            item.insertBefore(image, item.firstChild);
          };
          reader.readAsDataURL(file);
        }
        list.appendChild(item);
      });
    });
  });

  // Signing out takes the field app's forms off this phone; what was not sent yet stays, for who entered it.
  all("form[action$='/sign-out/']").forEach(function (form) {
    form.addEventListener("submit", function () { if (window.indexedDB) { window.indexedDB.deleteDatabase("field-data"); } });
  });
})();
