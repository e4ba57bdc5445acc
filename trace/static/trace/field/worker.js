/* The field app's service worker. It keeps the page and its files, named by their content, and nothing else: private answers
   are never cached here. self.FACTS stands before this code (version, page, files, sync, addresses). */
(function () {
  "use strict";
  var facts = self.FACTS;
  var CACHE = "field-" + facts.version;
  facts.sync.forEach(function (address) { importScripts(address); });

  self.addEventListener("install", function (event) {
    event.waitUntil(caches.open(CACHE).then(function (cache) {
      return cache.addAll(facts.files.concat([facts.page]).map(function (address) { return new Request(address, { cache: "reload" }); }));
    }).then(function () { return self.skipWaiting(); }));
  });
  self.addEventListener("activate", function (event) {
    event.waitUntil(caches.keys().then(function (names) {
      return Promise.all(names.filter(function (name) { return name.indexOf("field-") === 0 && name !== CACHE; }).map(function (name) { return caches.delete(name); }));
    }).then(function () { return self.clients.claim(); }));
  });
  function fresh(request) {
    return new Promise(function (resolve, reject) {
      // A village's network that neither works nor fails: after four seconds the kept page is better.
      var timer = setTimeout(function () { reject(new Error("slow")); }, 4000);
      fetch(request).then(function (answer) {
        clearTimeout(timer);
        if (!answer.ok) { reject(new Error(String(answer.status))); return; }
        var copy = answer.clone();
        caches.open(CACHE).then(function (cache) { return cache.put(facts.page, copy); });
        resolve(answer);
      }, function (error) { clearTimeout(timer); reject(error); });
    });
  }
  self.addEventListener("fetch", function (event) {
    var request = event.request;
    var address = new URL(request.url);
    if (request.method !== "GET" || address.origin !== self.location.origin) { return; }
    if (request.mode === "navigate" && address.pathname === facts.page) {
      event.respondWith(fresh(request).catch(function () {
        return caches.match(facts.page, { cacheName: CACHE }).then(function (kept) { return kept || Response.error(); });
      }));
    } else if (facts.files.indexOf(address.pathname) >= 0) {
      event.respondWith(caches.match(address.pathname, { cacheName: CACHE }).then(function (kept) { return kept || fetch(request); }));
    }
  });
  // Where the browser has it: send when the network is back, also with the page closed.
  self.addEventListener("sync", function (event) {
    if (event.tag !== "field") { return; }
    event.waitUntil(self.FieldSync.run(facts.addresses).then(function (told) {
      return self.clients.matchAll().then(function (pages) {
        pages.forEach(function (page) { page.postMessage({ synced: told.state }); });
        if (told.state === "offline" || told.state === "failed") { throw new Error(told.state); }
      });
    }));
  });
})();
