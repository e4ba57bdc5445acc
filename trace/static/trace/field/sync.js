/* Sending the queue. Each entry has a nonce, so that what is sent twice counts once. No DOM here: the service worker uses it too.
   FieldSync.run(addresses) → {state: "sent" | "offline" | "signedOut" | "busy" | "failed", session, changed, message}. */
(function () {
  "use strict";
  var store = self.FieldStore;
  var CHUNK = 20;

  function ask(address, options) {
    return fetch(address, Object.assign({ credentials: "same-origin", cache: "no-store" }, options || {}));
  }
  // Led to our own sign-in page. (The log-in page of somebody's Wi-Fi is another origin: our policy refuses it, as if offline.)
  function signedOut(answer) { return answer.status === 401 || (answer.redirected && new URL(answer.url).pathname.indexOf("/sign-in/") === 0); }
  function session(addresses, device) {
    return ask(addresses.session + (device ? "?device=" + encodeURIComponent(device) : "")).then(function (answer) {
      if (signedOut(answer)) { return null; }
      if (!answer.ok) { throw new Error(String(answer.status)); }
      return answer.json();
    });
  }
  function post(address, csrf, body) {
    var headers = { "X-CSRFToken": csrf };
    if (typeof body === "string") { headers["Content-Type"] = "application/json"; }
    return ask(address, { method: "POST", headers: headers, body: body }).then(function (answer) {
      if (signedOut(answer)) { throw Object.assign(new Error("signedOut"), { signedOut: true }); }
      var kind = answer.headers.get("Content-Type") || "";
      if (kind.indexOf("json") < 0) { throw Object.assign(new Error(String(answer.status)), { status: answer.status }); }
      return answer.json().then(function (told) {
        if (!answer.ok) { throw Object.assign(new Error(told.message || String(answer.status)), { status: answer.status, code: told.code }); }
        return told;
      });
    });
  }
  function name() {
    var agent = (self.navigator && navigator.userAgent) || "";
    var system = /HarmonyOS/.test(agent) ? "HarmonyOS" : /Android/.test(agent) ? "Android" : /iPhone|iPad/.test(agent) ? "iPhone" : /Windows/.test(agent) ? "Windows" : /Mac OS/.test(agent) ? "Mac" : "Linux";
    var browser = /MicroMessenger/.test(agent) ? "微信" : /Edg\//.test(agent) ? "Edge" : /Firefox/.test(agent) ? "Firefox" : /Chrome\//.test(agent) ? "Chrome" : /Safari/.test(agent) ? "Safari" : "";
    return system + (browser ? " · " + browser : "");
  }
  function deviceKey(user, organisation) { return "device:" + user + ":" + organisation; }

  // The device's name on the server, for one person and one organisation; asked for once.
  function device(addresses, told, organisation) {
    var key = deviceKey(told.user, organisation);
    return store.fact(key).then(function (known) {
      if (known) { return known; }
      if (!told.who || told.who.organisation !== organisation) { return null; }
      var body = new FormData();
      body.append("name", name());
      return post(addresses.devices, told.csrf, body).then(function (made) {
        return store.note(key, made.device).then(function () { return made.device; });
      });
    });
  }
  // Keep what became of an entry, unless the person changed it meanwhile.
  function keep(entry) {
    return store.entry(entry.nonce).then(function (now) { return now && now.version === entry.version ? store.put(entry) : null; });
  }
  // Photographs go first, one by one; what is there already is not sent again.
  function photographs(addresses, told, uid, entry) {
    return entry.files.reduce(function (before, file) {
      return before.then(function () {
        if (file.uid || file.refused) { return null; }
        var body = new FormData();
        body.append("device", uid);
        if (entry.onBehalfOf) { body.append("on_behalf_of", entry.onBehalfOf); }
        body.append("file", file.blob, file.name);
        return post(addresses.files, told.csrf, body).then(function (kept) {
          file.uid = kept.file;
          file.blob = null;
          return keep(entry);
        }, function (error) {
          // A picture nobody can read must not hold the entry back; a revoked device sends none.
          if (error.status === 422 || error.status === 403 || error.status === 404) { file.refused = error.message; return keep(entry); }
          throw error;
        });
      });
    }, Promise.resolve());
  }
  function apply(sent, result) {
    return store.entry(sent.nonce).then(function (entry) {
      // Changed or dropped while it was on its way: the answer is about what it was; the next round tells.
      if (!entry || entry.version !== sent.version) { return null; }
      entry.state = result.state;
      entry.answer = result;
      if (result.state === "sent") { entry.files = []; entry.fields = []; entry.html = ""; }
      if (result.state === "needs") { entry.html = result.html || ""; }
      return store.put(entry);
    });
  }
  function send(addresses, told, uid, entries) {
    var body = JSON.stringify({
      device: uid,
      entries: entries.map(function (entry) {
        return {
          nonce: entry.nonce, step: entry.step, on_behalf_of: entry.onBehalfOf || null, fields: entry.fields,
          files: entry.files.filter(function (file) { return file.uid; }).map(function (file) { return file.uid; }),
          seen: entry.seen || [], entered_at: entry.enteredAt
        };
      })
    });
    return post(addresses.entries, told.csrf, body).then(function (answer) {
      return entries.reduce(function (before, entry, number) {
        var result = answer.results[number];
        return before.then(function () { return result && result.nonce === entry.nonce ? apply(entry, result) : null; });
      }, Promise.resolve());
    });
  }
  function grouped(entries) {
    var groups = {};
    entries.forEach(function (entry) { (groups[entry.organisation] = groups[entry.organisation] || []).push(entry); });
    return groups;
  }
  function sendAll(addresses, told, waiting) {
    var groups = grouped(waiting);
    return Object.keys(groups).reduce(function (before, organisation) {
      return before.then(function () { return device(addresses, told, organisation); }).then(function (uid) {
        if (!uid) { return null; }  // another of the person's organisations: sent when that one is chosen
        var parts = [];
        for (var at = 0; at < groups[organisation].length; at += CHUNK) { parts.push(groups[organisation].slice(at, at + CHUNK)); }
        return parts.reduce(function (done, part) {
          return done.then(function () {
            return part.reduce(function (one, entry) { return one.then(function () { return photographs(addresses, told, uid, entry); }); }, Promise.resolve());
          }).then(function () { return send(addresses, told, uid, part); });
        }, Promise.resolve()).catch(function (error) {
          // The server does not know this device (any more): register anew next time.
          if (error.status === 404) { return store.note(deviceKey(told.user, organisation), null).then(function () { throw error; }); }
          throw error;
        });
      });
    }, Promise.resolve());
  }
  // Who is signed in now, for every tab; the forms of whoever was before go at once, their entries stay for them.
  function meet(user) {
    return store.fact("who").then(function (who) {
      return who && who.user !== user ? store.dropForms().then(function () { return store.note("who", null); }) : null;
    }).then(function () { return store.note("user", user); });
  }
  function run(addresses) {
    return store.fact("who").then(function (who) {
      return who ? store.fact(deviceKey(who.user, who.organisation)) : null;
    }).then(function (known) { return session(addresses, known); }).then(function (told) {
      if (!told) {
        return store.dropForms().then(function () { return store.note("user", ""); }).then(function () { return { state: "signedOut" }; });
      }
      return meet(told.user).then(store.entries).then(function (entries) {
        var waiting = entries.filter(function (entry) { return entry.state === "waiting" && entry.user === told.user; });
        return sendAll(addresses, told, waiting).then(function () { return { state: "sent", session: told, changed: waiting.length }; });
      }).catch(function (error) {
        if (error.signedOut) { return { state: "signedOut" }; }
        return { state: error.name === "TypeError" ? "offline" : "failed", session: told, message: error.message };
      });
    }).catch(function (error) { return { state: error.name === "TypeError" ? "offline" : "failed", message: error.message }; });
  }
  self.FieldSync = {
    run: function (addresses) {
      var locks = self.navigator && navigator.locks;
      if (!locks) { return run(addresses); }
      return locks.request("field-sync", { ifAvailable: true }, function (lock) { return lock ? run(addresses) : { state: "busy" }; });
    }
  };
})();
