/* A camera button beside every box for a code (data-scan), where there is a camera. The browser's own BarcodeDetector reads, else
   jsQR (Apache-2.0, trace/vendor/), which is loaded on first use. Without a camera: a photograph, a hand scanner, or typing. */
(function () {
  "use strict";
  var doc = document;
  var words = (doc.querySelector("script[data-scan-script]") || {}).dataset || {};
  var reading = null;

  function make(tag, attributes, text) {
    var element = doc.createElement(tag);
    Object.keys(attributes || {}).forEach(function (key) { element.setAttribute(key, attributes[key]); });
    if (text) { element.textContent = text; }
    return element;
  }

  // --- Reading a picture: resolves to the text or "" ---
  function load(address) {
    return new Promise(function (resolve, reject) {
      var script = make("script", { src: address });
      script.onload = resolve;
      script.onerror = reject;
      doc.head.appendChild(script);
    });
  }
  function reader() {
    if (reading) { return reading; }
    var own = "BarcodeDetector" in window ? window.BarcodeDetector.getSupportedFormats() : Promise.resolve([]);
    reading = own.catch(function () { return []; }).then(function (formats) {
      if (formats.indexOf("qr_code") >= 0) {
        var wanted = ["qr_code", "data_matrix", "code_128", "ean_13"].filter(function (each) { return formats.indexOf(each) >= 0; });
        var detector = new window.BarcodeDetector({ formats: wanted });
        return function (canvas) { return detector.detect(canvas).then(function (found) { return found.length ? found[0].rawValue : ""; }); };
      }
      return load(words.decoder).then(function () {
        return function (canvas, careful) {
          var pixels = canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, canvas.width, canvas.height);
          var found = window.jsQR(pixels.data, canvas.width, canvas.height, { inversionAttempts: careful ? "attemptBoth" : "dontInvert" });
          return Promise.resolve(found ? found.data : "");
        };
      });
    });
    reading.catch(function () { reading = null; });
    return reading;
  }
  function drawn(source, width, height, edge) {
    var scale = Math.min(1, edge / Math.max(width, height));
    var canvas = make("canvas");
    canvas.width = Math.max(1, Math.round(width * scale));
    canvas.height = Math.max(1, Math.round(height * scale));
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(source, 0, 0, canvas.width, canvas.height);
    return canvas;
  }
  // A photograph is tried in several sizes: a code that fills it and a small one in a corner.
  function fromPhotograph(file) {
    return Promise.all([reader(), createImageBitmap(file)]).then(function (both) {
      return [1000, 1800, 500].reduce(function (before, edge) {
        return before.then(function (text) { return text || both[0](drawn(both[1], both[1].width, both[1].height, edge), true); });
      }, Promise.resolve(""));
    });
  }

  // --- The dialog ---
  function scan(box) {
    var several = box.tagName === "TEXTAREA";
    var stream = null, running = true, last = "";
    var dialog = make("dialog", { "class": "scan", "aria-label": words.scanWord });
    var video = make("video", { playsinline: "", muted: "" });
    var said = make("p", { role: "status" }, words.aim);
    var torch = make("button", { type: "button", "class": "button quiet", hidden: "" }, words.torch);
    var photo = make("label", { "class": "button quiet scan-photo" }, words.photo);
    var picker = make("input", { type: "file", accept: "image/*", "class": "visually-hidden" });
    var done = make("button", { type: "button", "class": "button" }, words.done);
    var buttons = make("div", { "class": "scan-buttons" });
    var frame = make("div", { "class": "scan-frame" });
    video.muted = true;
    photo.appendChild(picker);
    frame.appendChild(video);
    [torch, photo, done].forEach(function (each) { buttons.appendChild(each); });
    [frame, said, buttons].forEach(function (each) { dialog.appendChild(each); });
    doc.body.appendChild(dialog);

    function close() {
      if (!running) { return; }
      running = false;
      if (stream) { stream.getTracks().forEach(function (track) { track.stop(); }); }
      dialog.close();
      dialog.remove();
      box.focus();
    }
    function found(text) {
      text = text.trim();
      if (!text || text === last) { return; }
      last = text;
      if (navigator.vibrate) { navigator.vibrate(60); }
      if (several) {
        var lines = box.value.split("\n").map(function (line) { return line.trim(); }).filter(Boolean);
        if (lines.indexOf(text) < 0) { lines.push(text); }
        box.value = lines.join("\n") + "\n";
        said.textContent = words.read + text;
      } else {
        box.value = text;
      }
      box.dispatchEvent(new Event("input", { bubbles: true }));
      box.dispatchEvent(new CustomEvent("scanned", { bubbles: true, detail: text }));
      if (!several) { close(); }
      // A box that asks for one code asks at once.
      if (box.type === "search" && box.form) { box.form.submit(); }
    }
    function look(read) {
      if (!running) { return; }
      if (video.readyState < 2) { setTimeout(look, 100, read); return; }
      read(drawn(video, video.videoWidth, video.videoHeight, 800)).then(found, function () { return null; }).then(function () { setTimeout(look, 120, read); });
    }
    function lights() {
      var track = stream.getVideoTracks()[0];
      var can = track && track.getCapabilities ? track.getCapabilities() : {};
      if (!can.torch) { return; }
      var on = false;
      torch.hidden = false;
      torch.setAttribute("aria-pressed", "false");
      torch.addEventListener("click", function () {
        on = !on;
        torch.setAttribute("aria-pressed", String(on));
        track.applyConstraints({ advanced: [{ torch: on }] });
      });
    }
    done.addEventListener("click", close);
    dialog.addEventListener("cancel", function (event) { event.preventDefault(); close(); });
    picker.addEventListener("change", function () {
      if (!picker.files.length) { return; }
      fromPhotograph(picker.files[0]).then(function (text) {
        if (text) { found(text); } else { said.textContent = words.none; }
      }, function () { said.textContent = words.none; });
      picker.value = "";
    });
    dialog.showModal();
    var camera = navigator.mediaDevices && navigator.mediaDevices.getUserMedia
      ? navigator.mediaDevices.getUserMedia({ video: { facingMode: { ideal: "environment" }, width: { ideal: 1280 } }, audio: false })
      : Promise.reject(new Error("none"));
    Promise.all([camera, reader()]).then(function (both) {
      stream = both[0];
      if (!running) { stream.getTracks().forEach(function (track) { track.stop(); }); return; }
      video.srcObject = stream;
      return video.play().then(function () { lights(); look(both[1]); });
    }).catch(function () { frame.hidden = true; said.textContent = words.denied; });
  }

  // --- Marking the boxes ---
  function decorate(root) {
    Array.prototype.forEach.call(root.querySelectorAll("[data-scan]:not([data-scan-ready])"), function (box) {
      if (!box.matches("input, textarea")) { return; }
      box.setAttribute("data-scan-ready", "");
      var label = box.labels && box.labels.length ? box.labels[0].textContent.trim() : "";
      var button = make("button", { type: "button", "class": "button quiet scan-button" + (box.type === "search" ? "" : " small"), "aria-label": label ? words.scanWord + " " + label : words.scanWord }, words.scanWord);
      button.addEventListener("click", function () { scan(box); });
      box.insertAdjacentElement("afterend", button);
    });
  }
  function begin() {
    decorate(doc);
    doc.addEventListener("form-inserted", function (event) { decorate(event.target); });
  }
  if (!doc.querySelector("[data-scan], #field")) { return; }
  // A phone or tablet has a camera even before it may be counted; elsewhere ask what there is.
  var touch = window.matchMedia && window.matchMedia("(pointer: coarse)").matches;
  if (touch) { begin(); return; }
  if (!navigator.mediaDevices || !navigator.mediaDevices.enumerateDevices) { return; }
  navigator.mediaDevices.enumerateDevices().then(function (devices) {
    if (devices.some(function (each) { return each.kind === "videoinput"; })) { begin(); }
  }, function () { return null; });
})();
