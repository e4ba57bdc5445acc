/* Tells the server that a person saw this page: the signed word of the page goes back once, when the page is on the screen.
   Without this file the button below it does the same. Nothing is read from the device. */
(function () {
  "use strict";
  var form = document.getElementById("count");
  if (!form || !window.URLSearchParams) return;
  var sent = false;
  function send() {
    if (sent || document.visibilityState !== "visible" || document.prerendering) return;
    sent = true;
    var body = new URLSearchParams({ word: form.elements.word.value, means: "beacon" });
    var queued = navigator.sendBeacon && navigator.sendBeacon(form.action, body);
    if (!queued && window.fetch) fetch(form.action, { method: "POST", body: body, keepalive: true }).catch(function () { sent = false; });
    form.hidden = true;
    var done = document.getElementById("counted");
    if (done) done.hidden = false;
  }
  document.addEventListener("visibilitychange", send);
  document.addEventListener("prerenderingchange", send);
  send();
})();
