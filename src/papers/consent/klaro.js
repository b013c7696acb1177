config.services.forEach(function (service) {
  service.cookies = service.cookies.map(function (name) { return pattern(name, kept.cookies); });
});
config.callback = function (consent, service) {
  if (!consent && cleared[service.name]) { clear(cleared[service.name]); }
};
return config;
