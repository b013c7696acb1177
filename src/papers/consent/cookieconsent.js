function clearRefused() {
  Object.keys(cleared).forEach(function (category) {
    if (!CookieConsent.acceptedCategory(category)) { clear(cleared[category]); }
  });
}

config.onConsent = clearRefused;
config.onChange = clearRefused;
CookieConsent.run(config);
