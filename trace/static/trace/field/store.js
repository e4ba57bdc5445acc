/* What the field app keeps on the phone. Two databases: the queue of entries, which stays until the person has decided about
   each, and the forms with their private lists, which go when somebody signs out. No DOM here: the service worker uses it too. */
(function () {
  "use strict";
  var QUEUE = "field-queue", DATA = "field-data";

  function opened(name, stores) {
    return new Promise(function (resolve, reject) {
      var request = indexedDB.open(name, 1);
      request.onupgradeneeded = function () {
        stores.forEach(function (store) { request.result.createObjectStore(store[0], { keyPath: store[1] }); });
      };
      request.onsuccess = function () {
        // Signing out in another tab deletes the forms: do not stand in its way.
        request.result.onversionchange = function () { request.result.close(); };
        resolve(request.result);
      };
      request.onerror = function () { reject(request.error); };
    });
  }
  function within(name, store, mode, work) {
    var stores = name === QUEUE ? [["entries", "nonce"], ["facts", "name"]] : [["forms", "key"]];
    return opened(name, stores).then(function (database) {
      return new Promise(function (resolve, reject) {
        var transaction = database.transaction(store, mode);
        var request = work(transaction.objectStore(store));
        transaction.oncomplete = function () { database.close(); resolve(request && request.result); };
        transaction.onabort = transaction.onerror = function () { database.close(); reject(transaction.error); };
      });
    });
  }
  self.FieldStore = {
    entries: function () {
      return within(QUEUE, "entries", "readonly", function (store) { return store.getAll(); }).then(function (rows) {
        return rows.sort(function (one, other) { return one.order - other.order; });
      });
    },
    entry: function (nonce) { return within(QUEUE, "entries", "readonly", function (store) { return store.get(nonce); }); },
    put: function (entry) { return within(QUEUE, "entries", "readwrite", function (store) { return store.put(entry); }); },
    remove: function (nonce) { return within(QUEUE, "entries", "readwrite", function (store) { return store.delete(nonce); }); },
    fact: function (name) {
      return within(QUEUE, "facts", "readonly", function (store) { return store.get(name); }).then(function (row) { return row ? row.value : null; });
    },
    note: function (name, value) { return within(QUEUE, "facts", "readwrite", function (store) { return store.put({ name: name, value: value }); }); },
    forms: function () { return within(DATA, "forms", "readonly", function (store) { return store.getAll(); }); },
    keepForms: function (forms) { return within(DATA, "forms", "readwrite", function (store) { return store.put(forms); }); },
    dropForms: function () { return within(DATA, "forms", "readwrite", function (store) { return store.clear(); }); }
  };
})();
