// A name that ends with "*" stands for all that begin like it, but for those that are kept: a class without consent has
// them as well.
function pattern(name, kept) {
  function expression(name) {
    var plain = name.replace(/\*$/, "").replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return /\*$/.test(name) ? plain : plain + "$";
  }
  if (!/.\*$/.test(name)) { return name; }
  var not = kept.map(function (name) { return "(?!" + expression(name) + ")"; }).join("");
  return new RegExp("^" + not + expression(name));
}
// What a consent manager does not clear by itself.
function clear(what) {
  function each(place, there, remove) {
    what[place].forEach(function (name) {
      var wanted = pattern(name, kept[place]);
      if (wanted === name) { remove(name); return; }
      there.forEach(function (other) { if (wanted.test(other)) { remove(other); } });
    });
  }
  ["localStorage", "sessionStorage"].forEach(function (place) {
    try {
      each(place, Object.keys(window[place]), function (name) { window[place].removeItem(name); });
    } catch (error) { /* storage is switched off: nothing is there */ }
  });
  function databases(there) {
    each("indexedDB", there, function (name) { window.indexedDB.deleteDatabase(name); });
  }
  try {
    if (!what.indexedDB.length) { return; }
    if (!window.indexedDB.databases) { databases([]); return; }
    window.indexedDB.databases().then(function (there) {
      databases(there.map(function (database) { return database.name; }));
    }, function () { /* as above */ });
  } catch (error) { /* as above */ }
}
