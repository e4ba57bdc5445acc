/* Counts what is scanned and says at once what each new code is. The page works without: the server counts again. */
(function () {
  "use strict";
  var box = document.querySelector("textarea[data-scan]");
  var count = document.querySelector("[data-scan-count]");
  var list = document.querySelector("[data-scan-list]");
  if (!box || !count || !list) { return; }
  var asked = {};
  var waiting = 0;

  function codes() { return box.value.split(/[\s,，;；、]+/).filter(Boolean); }

  function row(code) {
    var item = document.createElement("li");
    var name = document.createElement("span");
    name.className = "code";
    name.textContent = code;
    item.appendChild(name);
    var words = document.createElement("span");
    item.appendChild(words);
    list.insertBefore(item, list.firstChild);
    return words;
  }

  function ask(code) {
    asked[code] = true;
    fetch(count.dataset.check + encodeURIComponent(code), { credentials: "same-origin" })
      .then(function (answer) { return answer.ok ? answer.json() : null; })
      .then(function (found) {
        if (!found) { return; }
        var words = row(found.code || code);
        words.textContent = found.known ? found.words + (found.problem ? " · " + found.problem : "") : count.dataset.unknown;
        if (!found.known || found.problem) { words.className = "wrong"; }
        list.hidden = false;
      })
      .catch(function () { asked[code] = false; });
  }

  function update() {
    var all = codes();
    var different = all.filter(function (code, index) { return all.indexOf(code) === index; });
    var twice = all.length - different.length;
    count.textContent = count.dataset.words.replace("{n}", different.length) +
      (twice ? " · " + count.dataset.twice.replace("{n}", twice) : "");
    count.hidden = all.length === 0;
    // Only codes that are ended by a line break or space are whole; the newest few, so that pasting asks no flood.
    var whole = /\s$/.test(box.value) ? different : different.slice(0, -1);
    whole.slice(-12).filter(function (code) { return !asked[code]; }).forEach(ask);
  }

  box.addEventListener("input", function () { clearTimeout(waiting); waiting = setTimeout(update, 150); });
  update();
}());
