function clearRefused() {
  Object.keys(cleared).forEach(function (category) {
    if (!CookieConsent.acceptedCategory(category)) { clear(cleared[category]); }
  });
}
function expressions(cookies) {
  cookies.forEach(function (cookie) { cookie.name = pattern(cookie.name, kept.cookies); });
}

Object.keys(cleared).forEach(function (name) {
  var category = config.categories[name];
  expressions(category.autoClear.cookies);
  Object.keys(category.services).forEach(function (service) { expressions(category.services[service].cookies); });
});
config.onConsent = clearRefused;
config.onChange = clearRefused;

function start() { CookieConsent.run(config); }

// In the head of a page there is no body yet for the question to stand in.
if (document.body) { start(); } else { document.addEventListener("DOMContentLoaded", start); }
