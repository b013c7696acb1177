
// What a consent manager does not clear by itself.
function clear(what) {
  ["localStorage", "sessionStorage"].forEach(function (place) {
    what[place].forEach(function (name) {
      try { window[place].removeItem(name); } catch (error) { /* storage is switched off: nothing is there */ }
    });
  });
  what.indexedDB.forEach(function (name) {
    try { window.indexedDB.deleteDatabase(name); } catch (error) { /* as above */ }
  });
}
