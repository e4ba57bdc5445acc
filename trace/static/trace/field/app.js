/* The field app's page: forms taken along, the queue, and sending. The address after # says what is shown:
   "" start, "new/<step>", "slip/<number>", "entry/<nonce>", "queue". */
(function () {
  "use strict";
  var doc = document;
  var words = JSON.parse(doc.getElementById("field-words").textContent);
  var addresses = JSON.parse(doc.getElementById("field-addresses").textContent);
  var store = window.FieldStore, sync = window.FieldSync;
  var box = doc.getElementById("field"), title = doc.getElementById("field-title"), notes = doc.getElementById("field-notes"), net = doc.getElementById("field-net");
  var home = title.textContent;
  var state = { forms: null, sync: "", message: "", revoked: false, skew: 0, loading: true, barred: false, user: "", open: "" };

  function make(tag, attributes) {
    var element = doc.createElement(tag);
    Object.keys(attributes || {}).forEach(function (key) { if (attributes[key] !== null) { element.setAttribute(key, attributes[key]); } });
    Array.prototype.slice.call(arguments, 2).forEach(function (part) {
      if (part) { element.appendChild(typeof part === "string" ? doc.createTextNode(part) : part); }
    });
    return element;
  }
  function button(text, kind, act) {
    var element = make("button", { type: "button", "class": "button " + kind }, text);
    element.addEventListener("click", act);
    return element;
  }
  function link(text, hash, kind) { return make("a", { href: "#" + hash, "class": kind || null }, text); }
  function told(text, values) { return Object.keys(values).reduce(function (so, key) { return so.replace("%(" + key + ")s", values[key]); }, text); }
  function pad(number) { return (number < 10 ? "0" : "") + number; }
  // 2026-09-29T08:30:00+08:00: this phone's clock with its own offset.
  function stamp(now) {
    var minutes = -now.getTimezoneOffset(), much = Math.abs(minutes);
    return now.getFullYear() + "-" + pad(now.getMonth() + 1) + "-" + pad(now.getDate()) + "T" + pad(now.getHours()) + ":" + pad(now.getMinutes()) + ":" + pad(now.getSeconds()) + (minutes < 0 ? "-" : "+") + pad(Math.floor(much / 60)) + ":" + pad(much % 60);
  }
  // Forms are filled in by Beijing time wherever the phone is, as everywhere in this system.
  function beijing(now) { return new Date(now.getTime() + 8 * 3600000).toISOString(); }
  function shortly(text) { return text.slice(0, 16).replace("T", " "); }

  // --- What is known ---
  function refresh() {
    return Promise.all([store.forms(), store.fact("who"), store.fact("user")]).then(function (both) {
      var who = both[1];
      state.user = both[2] || "";
      state.all = who ? both[0].filter(function (each) { return each.who.user === who.user; }) : [];
      state.forms = state.all.filter(function (each) { return each.key === (who || {}).key; })[0] || null;
      state.who = state.forms ? state.forms.who : null;
    });
  }
  function take() {
    return fetch(addresses.data, { credentials: "same-origin", redirect: "manual", cache: "no-store" }).then(function (answer) {
      state.barred = answer.status === 403 || answer.status === 404;
      return answer.ok ? answer.json() : null;
    }).then(function (data) {
      if (!data) { return null; }
      data.key = data.who.key;
      return store.forms().then(function (known) {
        // Somebody else's forms do not stay on this phone.
        return known.some(function (each) { return each.who.user !== data.who.user; }) ? store.dropForms() : null;
      }).then(function () { return store.keepForms(data); }).then(function () { return store.note("who", data.who); });
    });
  }
  var busy = false, again = false;
  function send(loud) {
    // What is saved while the queue is on its way goes with the next round.
    if (busy) { again = true; return Promise.resolve(); }
    busy = true;
    again = false;
    if (loud) { state.sync = "busy"; line(); }
    return sync.run(addresses).then(function (done) {
      // The service worker or another tab is sending: look again in a moment.
      if (done.state === "busy") { setTimeout(function () { send(false); }, 1500); return null; }
      state.sync = done.state;
      state.message = done.message || "";
      if (done.session) {
        state.revoked = done.session.device === "revoked";
        state.skew = Math.round((Date.now() - Date.parse(done.session.at)) / 60000);
      }
      state.loading = false;
      var signedIn = done.session && done.session.who;
      if (done.session && !signedIn) { state.barred = true; }
      return (signedIn ? take().catch(function () { return null; }) : Promise.resolve()).then(refresh);
    }).catch(function (error) { state.loading = false; state.sync = "failed"; state.message = error.message; }).then(function () {
      busy = false;
      return paint(true);
    }).then(function () { return again ? send(false) : null; });
  }

  // --- The line at the top and notes ---
  function line() {
    var text = state.sync === "busy" ? words.sending : navigator.onLine && state.sync !== "offline" ? words.online : words.noNet;
    net.textContent = text;
    net.dataset.net = navigator.onLine && state.sync !== "offline" ? "on" : "off";
  }
  function note(tone, text, more) {
    notes.appendChild(make("div", { "class": "notice tone-" + tone }, make("p", {}, text, more || null)));
  }
  // A form and an entry belong to the person they were opened for, whoever has signed in on this phone since.
  function isStrange(user) { return Boolean(user && state.user && state.user !== user); }
  function own(user) {
    // Another tab may have found out first.
    return store.fact("user").then(function (now) {
      state.user = now || "";
      if (isStrange(user)) { throw new Error(words.changed); }
    });
  }
  function refuse(error) {
    notes.textContent = "";
    note("danger", error.name === "QuotaExceededError" ? words.full : error.message);
  }
  function remarks(others) {
    notes.textContent = "";
    if (net.dataset.net === "off") { note("info", words.offline); }
    if (state.sync === "signedOut") { note("attention", words.signedOut + " ", make("a", { href: addresses.signIn }, words.signIn)); }
    if (state.revoked) { note("danger", words.revoked); }
    if (Math.abs(state.skew) >= 10) { note("attention", told(words.clock, { n: Math.abs(state.skew) })); }
    if (state.sync === "failed") { note("attention", told(words.failed, { why: state.message })); }
    if (others) { note("info", told(words.others, { n: others })); }
    if (state.saved) { note("good", state.saved); }
    if (isStrange(state.open) && box.querySelector("form")) { note("attention", words.changed); }
  }

  // --- Start ---
  function count(entries, kind) { return entries.filter(function (entry) { return entry.state === kind; }).length; }
  function start(entries) {
    title.textContent = home;
    box.textContent = "";
    if (state.who) {
      var name = state.who.organisationName + " · " + state.who.name;
      box.appendChild(make("p", { "class": "mute" }, state.who.onBehalfOfName ? name + " · " + told(words.behalf, { name: state.who.onBehalfOfName }) : name));
    }
    if (state.all && state.all.length > 1) { box.appendChild(persons()); }
    if (!state.forms) {
      // Nothing is missing yet while they are being fetched.
      var fetching = state.loading && navigator.onLine;
      box.appendChild(make("p", { "aria-busy": fetching ? "true" : null }, fetching ? words.loading : state.barred ? words.barred : words.noForms));
    } else {
      var list = make("div", { "class": "field-steps" });
      if (state.forms.receives) { list.appendChild(link(words.receipt, "slip/", "field-step")); }
      state.forms.forms.forEach(function (form) { list.appendChild(link(form.title, "new/" + form.step, "field-step")); });
      box.appendChild(list);
      if (state.forms.slips.length) {
        box.appendChild(make("h2", {}, words.slips));
        box.appendChild(make("ul", { "class": "field-queue" }));
        state.forms.slips.forEach(function (slip) {
          box.lastChild.appendChild(make("li", {}, link(slip.from, "slip/" + slip.number), make("span", { "class": "mute" }, slip.number)));
        });
      }
    }
    queue(entries);
    if (state.forms) { box.appendChild(make("p", { "class": "mute" }, told(words.kept, { when: shortly(beijing(new Date(state.forms.at))) }))); }
  }
  // A clerk who enters for several growers takes the forms of each along and chooses.
  function persons() {
    var choice = make("select", { "class": "select", "aria-label": words.choose });
    state.all.forEach(function (each) {
      var option = make("option", { value: each.key }, each.who.organisationName + (each.who.onBehalfOfName ? " · " + told(words.behalf, { name: each.who.onBehalfOfName }) : ""));
      option.selected = each.key === state.who.key;
      choice.appendChild(option);
    });
    choice.addEventListener("change", function () {
      store.note("who", state.all.filter(function (each) { return each.key === choice.value; })[0].who).then(refresh).then(function () { paint(); });
    });
    return make("p", {}, choice);
  }
  function queue(entries) {
    box.appendChild(make("h2", {}, words.queue));
    if (!entries.length) { box.appendChild(make("p", { "class": "mute" }, words.empty)); return; }
    var list = make("ul", { "class": "field-queue" });
    entries.slice().reverse().forEach(function (entry) { list.appendChild(row(entry)); });
    box.appendChild(list);
    var actions = make("p", { "class": "field-actions" });
    if (count(entries, "waiting")) { actions.appendChild(button(words.sendNow, "", function () { send(true); })); }
    if (count(entries, "sent")) {
      actions.appendChild(button(words.clear, "quiet", function () {
        Promise.all(entries.filter(function (entry) { return entry.state === "sent"; }).map(function (entry) { return store.remove(entry.nonce); })).then(function () { paint(); });
      }));
    }
    box.appendChild(actions);
  }
  var TONES = { waiting: "info", sent: "good", needs: "attention", refused: "hold", review: "hold" };
  function row(entry) {
    var item = make("li", { "data-state": entry.state },
      make("span", { "class": "badge tone-" + TONES[entry.state] }, words[entry.state]),
      link(entry.title, "entry/" + entry.nonce, "field-name"),
      make("span", { "class": "mute" }, entry.summary),
      make("span", { "class": "mute" }, words.enteredAt + " " + shortly(entry.enteredAt) + (entry.files.length ? " · " + words.photos + " " + entry.files.length : "")));
    var answer = entry.answer || {};
    if (entry.state === "sent") {
      item.appendChild(make("span", {}, make("a", { href: answer.url }, words.event), answer.lots && answer.lots.length ? " " + answer.lots.join("、") : "", answer.conflicts ? " · " + words.conflicts : ""));
    } else if (answer.message) { item.appendChild(make("span", { "class": "field-why" }, answer.message)); }
    return item;
  }

  // --- A form ---
  function values(form) {
    var pairs = [];
    new FormData(form).forEach(function (value, key) { if (typeof value === "string") { pairs.push([key, value]); } });
    return pairs;
  }
  function fill(form, pairs) {
    var byName = {};
    pairs.forEach(function (pair) { (byName[pair[0]] = byName[pair[0]] || []).push(pair[1]); });
    // First as many rows as were filled in, then what stood in them.
    Object.keys(byName).forEach(function (name) {
      if (!/-count$/.test(name)) { return; }
      var group = form.querySelector("[data-group='" + name.replace(/-count$/, "") + "']");
      var add = group && group.querySelector("[data-add]");
      while (add && group.querySelectorAll("[data-row]").length < Number(byName[name][0])) {
        var before = group.querySelectorAll("[data-row]").length;
        add.click();
        if (group.querySelectorAll("[data-row]").length === before) { break; }
      }
    });
    Object.keys(byName).forEach(function (name) {
      Array.prototype.forEach.call(form.elements, function (control) {
        if (control.name !== name || control.type === "file") { return; }
        if (control.type === "radio" || control.type === "checkbox") { control.checked = byName[name].indexOf(control.value) >= 0; return; }
        control.value = byName[name][0];
        control.dispatchEvent(new Event("change", { bubbles: true }));
      });
    });
    // Units follow from the lot chosen; put them in once the lots stand.
    Object.keys(byName).forEach(function (name) {
      if (/-unit$/.test(name) && form.elements[name]) { form.elements[name].value = byName[name][0]; }
    });
  }
  // Lots that begin in entries still on this phone can be used at once; the server joins them by nonce.
  function offerLocal(form, entries, self) {
    var begun = entries.filter(function (entry) { return entry.begins && entry.state === "waiting" && entry.nonce !== self && entry.key === (state.who || {}).key; });
    if (!begun.length) { return; }
    Array.prototype.forEach.call(form.querySelectorAll("[data-group='inputs'] [data-row], [data-group='subjects'] [data-row]"), function (place) {
      var name = place.closest("[data-group]").dataset.group + "-" + place.dataset.row;
      var choice = make("select", { "class": "select", name: name + "-local", id: "id_" + name + "-local" }, make("option", { value: "" }, words.choose));
      begun.forEach(function (entry) {
        var makes = entry.makes && entry.makes.length ? entry.makes : [entry.summary];
        makes.forEach(function (text, number) { choice.appendChild(make("option", { value: entry.nonce + (number ? "." + number : "") }, entry.title + " · " + text)); });
      });
      place.insertBefore(make("div", { "class": "field" }, make("label", { "for": choice.id }, words.local), choice), place.firstChild);
    });
  }
  function wrong(control, text) {
    var field = control.closest(".field") || control.parentNode;
    field.classList.add("wrong");
    control.setAttribute("aria-invalid", "true");
    if (!field.querySelector(".error")) { field.insertBefore(make("p", { "class": "error" }, text), control.closest("fieldset .choices") || field.querySelector("label").nextSibling); }
  }
  function stands(form, name) { var control = form.elements[name]; return Boolean(control && control.value && String(control.value).trim()); }
  function isByproduct(form, name) {
    var product = form.elements[name.replace(/-f_.*$/, "-product")];
    return Boolean(product && product.value && product.options[product.selectedIndex].dataset.byproduct);
  }
  // Only what can be known here: what must be filled in, and what must be a number. The server checks the rest.
  function check(form) {
    Array.prototype.forEach.call(form.querySelectorAll(".error"), function (each) { each.remove(); });
    Array.prototype.forEach.call(form.querySelectorAll(".wrong"), function (each) { each.classList.remove("wrong"); });
    var first = null;
    Array.prototype.forEach.call(form.elements, function (control) {
      if (!control.name || control.type === "hidden" || control.type === "file") { return; }
      var blank = control.type === "radio" ? !form.querySelector("[name='" + control.name + "']:checked") : !control.value.trim();
      var base = control.name.replace(/-(lot|code)$/, "");
      var instead = (/-(lot|code)$/.test(control.name) && (stands(form, base + "-code") || stands(form, base + "-lot") || stands(form, base + "-local"))) ||
        (/^outputs-\d+-f_/.test(control.name) && isByproduct(form, control.name)) ||
        (control.name === "party" && stands(form, "party_name")) || (control.name === "place" && stands(form, "plot_name"));
      var text = "";
      if (control.required && blank && !instead) { text = words.required; }
      else if (control.inputMode === "decimal" && !blank && !/^[\s0-9０-９.,．，]+$/.test(control.value)) { text = words.number; }
      if (text) { wrong(control, text); first = first || control; }
    });
    if (first) {
      var fold = first.closest("details");
      if (fold) { fold.open = true; }
      first.focus();
    }
    return !first;
  }
  // The lots that an entry brings about, in the order of their rows: a step that sorts makes several.
  function makes(form) {
    var found = [], party = form.elements.party;
    var from = stands(form, "party_name") ? form.elements.party_name.value.trim() : party && party.value ? party.options[party.selectedIndex].text : "";
    Array.prototype.forEach.call(form.querySelectorAll("[data-group='outputs'] [data-row]"), function (place) {
      function part(name) { return form.elements["outputs-" + place.dataset.row + "-" + name]; }
      var amount = part("amount"), product = part("product"), code = part("lot_code"), unit = part("unit");
      if (!amount || !amount.value.trim()) { return; }
      found.push([product && product.value ? product.options[product.selectedIndex].text : "", code ? code.value.trim() : "",
        amount.value + (unit && unit.value ? " " + unit.options[unit.selectedIndex].text : ""), from].filter(Boolean).join(" · "));
    });
    return found;
  }
  function summary(form) {
    var parts = [];
    Array.prototype.forEach.call(form.elements, function (control) {
      if (control.type === "hidden" || !control.name || !control.value || parts.length >= 6) { return; }
      if (control.name === "party" && stands(form, "party_name")) { return; }
      if (/-(lot|product|local)$|^party$/.test(control.name)) { parts.push(control.options[control.selectedIndex].text.split(" · ").slice(0, 2).join(" ")); }
      else if (/-amount$|^amount_/.test(control.name)) {
        var unit = form.elements[control.name.replace(/amount/, "unit")];
        parts.push(control.value + (unit && unit.selectedIndex >= 0 && unit.value ? " " + unit.options[unit.selectedIndex].text : ""));
      } else if (/-code$|-lot_code$|^party_name$|^pack$|^slip$/.test(control.name)) { parts.push(control.value); }
    });
    return parts.join(" · ");
  }
  // Photographs are made smaller here, so that the queue fits into the phone and goes through a thin network.
  function smaller(file) {
    if (!/^image\//.test(file.type) || !window.createImageBitmap) { return Promise.resolve(file); }
    return createImageBitmap(file).then(function (image) {
      var scale = Math.min(1, 2000 / Math.max(image.width, image.height));
      var canvas = make("canvas");
      canvas.width = Math.round(image.width * scale);
      canvas.height = Math.round(image.height * scale);
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      return new Promise(function (resolve) { canvas.toBlob(function (blob) { resolve(blob && blob.size < file.size ? blob : file); }, "image/jpeg", 0.85); });
    }).catch(function () { return file; });
  }
  function photographs(form, before) {
    var picker = form.querySelector("input[type=file]");
    var chosen = picker ? Array.prototype.slice.call(picker.files) : [];
    return Promise.all(chosen.slice(0, 9 - before.length).map(function (file) {
      return smaller(file).then(function (blob) {
        if (blob.size > 10 * 1024 * 1024) { throw new Error(words.tooLarge); }
        return { name: file.name, blob: blob, uid: "" };
      });
    })).then(function (made) { return before.concat(made); });
  }
  function show(heading, html, options) {
    title.textContent = heading;
    box.textContent = "";
    var who = state.who;
    state.open = options.entry ? options.entry.user : who.user;
    var form = make("form", { "class": "form", novalidate: "" });
    var inner = make("div");
    inner.innerHTML = html;  // made by our own server for this person, escaped there
    form.appendChild(inner);
    box.appendChild(form);
    var now = beijing(new Date());
    if (!options.pairs && form.elements.when_on) {
      form.elements.when_on.value = now.slice(0, 10);
      if (form.elements.when_at && form.elements.when_at.value) { form.elements.when_at.value = now.slice(11, 16); }
    }
    if (!options.pairs && form.elements.arrived_on) { form.elements.arrived_on.value = now.slice(0, 10); }
    offerLocal(form, options.entries, options.entry ? options.entry.nonce : "");
    inner.dispatchEvent(new CustomEvent("form-inserted", { bubbles: true }));
    if (options.pairs && options.restore) { fill(form, options.pairs); }
    if (options.entry && options.entry.files.length) { form.appendChild(make("p", { "class": "mute" }, words.photos + " " + options.entry.files.length)); }
    var actions = make("div", { "class": "actions" });
    actions.appendChild(make("button", { "class": "button", type: "submit" }, words.save));
    actions.appendChild(link(words.cancel, "", "button quiet"));
    form.appendChild(actions);
    form.addEventListener("submit", function (event) {
      event.preventDefault();
      // The button for one more row is no saving, whatever the number of rows.
      if (event.submitter && event.submitter.name === "add") { return; }
      if (form.dataset.sent || !check(form)) { return; }
      form.dataset.sent = "1";
      save(form, heading, options, who).catch(function (error) {
        delete form.dataset.sent;
        refuse(error);
      });
    });
    if (options.decide) {
      var notice = inner.querySelector(".notice");
      if (notice) { notice.insertAdjacentElement("afterend", options.decide); } else { form.appendChild(options.decide); form.appendChild(actions); }
    }
    title.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
  // Signed out meanwhile, it is kept for whom the form was opened; what somebody else has signed in on is refused.
  function save(form, heading, options, who) {
    var old = options.entry;
    return photographs(form, old ? old.files : []).then(function (files) {
      return own(old ? old.user : who.user).then(function () { return files; });
    }).then(function (files) {
      var now = new Date();
      var entry = {
        nonce: old ? old.nonce : fresh(), order: old ? old.order : now.getTime(), enteredAt: old ? old.enteredAt : stamp(now),
        key: old ? old.key : who.key, user: old ? old.user : who.user, organisation: old ? old.organisation : who.organisation,
        onBehalfOf: old ? old.onBehalfOf : who.onBehalfOf, step: options.step, title: heading, summary: summary(form) || options.about || "",
        begins: Boolean(options.begins), makes: makes(form), fields: values(form), files: files, version: now.getTime(), seen: [], state: "waiting", answer: null, html: ""
      };
      return store.put(entry);
    }).then(function () {
      state.saved = navigator.onLine ? words.saved : words.savedOffline;
      later();
      location.hash = "";
      return send(false);
    });
  }
  function fresh() {
    if (crypto.randomUUID) { return crypto.randomUUID(); }
    var bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    var text = Array.prototype.map.call(bytes, function (byte) { return (byte < 16 ? "0" : "") + byte.toString(16); }).join("");
    return [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join("-");
  }
  // Where the browser has it, the service worker sends when the network is back, also with this page closed.
  function later() {
    if (!navigator.serviceWorker) { return; }
    navigator.serviceWorker.ready.then(function (found) { return found.sync ? found.sync.register("field") : null; }).catch(function () { return null; });
  }
  function formOf(step) { return state.forms ? state.forms.forms.filter(function (form) { return form.step === step; })[0] : null; }

  // --- One entry ---
  function remove(entry) {
    var sure = false;
    var element = button(words.discard, "quiet", function () {
      if (!sure) { sure = true; element.textContent = words.discardSure; return; }
      own(entry.user).then(function () { return store.remove(entry.nonce); }).then(function () { location.hash = ""; }).catch(refuse);
    });
    return element;
  }
  function one(entry, entries) {
    var answer = entry.answer || {};
    var known = formOf(entry.step);
    if (entry.state === "waiting" || entry.state === "needs") {
      var decide = make("div", { "class": "field-decide" });
      if (entry.state === "needs" && answer.insistable) {
        var insist = button(words.insist, "quiet", function () {
          own(entry.user).then(function () {
            entry.seen = answer.guards.map(function (guard) { return guard.code; });
            entry.state = "waiting";
            entry.version = Date.now();
            return store.put(entry);
          }).then(function () { location.hash = ""; return send(true); }).catch(refuse);
        });
        decide.appendChild(insist);
        decide.appendChild(make("p", { "class": "hint" }, words.insistHint));
      }
      decide.appendChild(remove(entry));
      var slip = entry.step === "receipt" ? slipOf(entry.fields) : null;
      var html = entry.html || (known || slip || {}).html || (entry.step === "receipt" && state.forms ? state.forms.slipUnknown : "");
      if (html) {
        show(entry.title, html, { entries: entries, entry: entry, step: entry.step, begins: entry.begins, about: entry.summary, pairs: entry.fields, restore: !entry.html, decide: decide });
        if (entry.state === "needs" && answer.message && !answer.guards.length && !box.querySelector(".error-summary")) { box.firstChild.insertBefore(make("div", { "class": "notice tone-attention" }, make("p", {}, answer.message)), box.firstChild.firstChild); }
        return;
      }
    }
    title.textContent = entry.title;
    box.textContent = "";
    box.appendChild(make("ul", { "class": "field-queue" }, row(entry)));
    var actions = make("p", { "class": "field-actions" });
    if (entry.state === "refused" || entry.state === "review" || entry.state === "needs") { actions.appendChild(remove(entry)); }
    actions.appendChild(link(words.cancel, "", "button quiet"));
    box.appendChild(actions);
  }

  // --- Receiving by slip ---
  function numberIn(text) {
    var word = text.trim().replace(/\/+$/, "");
    word = word.slice(word.lastIndexOf("/") + 1);
    try { word = decodeURIComponent(word); } catch (error) { /* as it is */ }
    return word.split(":")[0].toUpperCase();
  }
  function slipOf(pairs) {
    var pair = pairs.filter(function (each) { return each[0] === "slip"; })[0];
    var number = pair ? numberIn(pair[1]) : "";
    return state.forms ? state.forms.slips.filter(function (slip) { return slip.number === number; })[0] : null;
  }
  function slip(number, entries) {
    var known = state.forms && state.forms.slips.filter(function (each) { return each.number === number; })[0];
    if (known) { show(words.slips, known.html, { entries: entries, step: "receipt", about: known.from + " " + known.number }); return; }
    title.textContent = words.slips;
    box.textContent = "";
    var input = make("input", { id: "id_slip", "class": "input", type: "text", autocomplete: "off", autocapitalize: "characters", spellcheck: "false", "data-scan": "" });
    var form = make("form", { "class": "form" }, make("div", { "class": "field" }, make("label", { "for": "id_slip" }, words.scanSlip), input),
      make("div", { "class": "actions" }, make("button", { "class": "button" }, words.next), link(words.cancel, "", "button quiet")));
    function go() {
      var text = input.value.trim();
      if (!text) { return; }
      var found = state.forms.slips.filter(function (each) { return each.number === numberIn(text); })[0];
      if (found) { location.hash = "slip/" + found.number; return; }
      show(words.slips, state.forms.slipUnknown, { entries: entries, step: "receipt", about: numberIn(text) });
      box.querySelector("input[name=slip]").value = text;
      box.firstChild.insertBefore(make("p", {}, numberIn(text) + "：" + words.slipUnknown), box.firstChild.firstChild);
    }
    form.addEventListener("submit", function (event) { event.preventDefault(); go(); });
    input.addEventListener("scanned", go);
    box.appendChild(form);
    form.dispatchEvent(new CustomEvent("form-inserted", { bubbles: true }));
  }

  // --- Showing what the address says ---
  function paint(quiet) {
    return store.entries().then(function (entries) {
      var user = state.who ? state.who.user : "";
      var mine = entries.filter(function (entry) { return entry.user === user; });
      line();
      var hash = decodeURIComponent(location.hash.slice(1));
      var at = hash.indexOf("/");
      var what = at < 0 ? hash : hash.slice(0, at), which = at < 0 ? "" : hash.slice(at + 1);
      // A form half filled in is never replaced under the person's hands.
      if (quiet && what && box.querySelector("form")) { remarks(0); return; }
      state.open = "";
      remarks(entries.filter(function (entry) { return entry.user !== user && entry.state !== "sent"; }).length);
      if (what === "new" && formOf(which)) { var form = formOf(which); show(form.title, form.html, { entries: mine, step: which, begins: form.begins }); }
      else if (what === "slip" && state.forms) { slip(which, mine); }
      else if (what === "entry") {
        var found = mine.filter(function (entry) { return entry.nonce === which; })[0];
        if (found) { one(found, mine); } else { start(mine); }
      } else { start(mine); }
    });
  }

  if (!window.indexedDB || !window.fetch || !window.Promise || !navigator.serviceWorker) {
    notes.textContent = words.unsupported;
    return;
  }
  navigator.serviceWorker.register(addresses.worker).catch(function () { return null; });
  navigator.serviceWorker.addEventListener("message", function () { refresh().then(function () { paint(true); }); });
  if (navigator.storage && navigator.storage.persist) { navigator.storage.persist().catch(function () { return null; }); }
  window.addEventListener("hashchange", function () {
    if (location.hash.length > 1) { state.saved = ""; }
    paint();
  });
  window.addEventListener("online", function () { send(true); });
  window.addEventListener("offline", function () { state.sync = "offline"; line(); });
  doc.addEventListener("visibilitychange", function () { if (!doc.hidden) { send(false); } });
  setInterval(function () { if (navigator.onLine && !doc.hidden) { send(false); } }, 60000);
  // Links of an error summary lead to fields, not to places of this page.
  doc.addEventListener("click", function (event) {
    var to = event.target.closest(".error-summary a");
    if (!to) { return; }
    event.preventDefault();
    var control = doc.getElementById(to.getAttribute("href").slice(1));
    if (control) { control.focus(); }
  });
  refresh().then(function () { return paint(); }).then(function () { return send(false); });
})();
