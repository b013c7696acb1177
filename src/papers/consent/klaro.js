config.callback = function (consent, service) {
  if (!consent && cleared[service.name]) { clear(cleared[service.name]); }
};
return config;
