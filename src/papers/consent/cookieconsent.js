function clearRefused() {
  Object.keys(cleared).forEach(function (category) {
    if (!CookieConsent.acceptedCategory(category)) { clear(cleared[category]); }
  });
}

config.onConsent = clearRefused;
config.onChange = clearRefused;

function start() { CookieConsent.run(config); }

// In the head of a page there is no body yet for the question to stand in.
if (document.body) { start(); } else { document.addEventListener("DOMContentLoaded", start); }
