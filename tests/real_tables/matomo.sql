-- Tables of Matomo 5 that hold visits, as far as the core and its plugins for countries, devices and referrers make
-- them; without columns that only counters of the reports use.
CREATE TABLE matomo_log_visit (
  idvisit BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  idsite INT UNSIGNED NOT NULL,
  idvisitor BINARY(8) NOT NULL,
  visit_last_action_time DATETIME NOT NULL,
  config_id BINARY(8) NOT NULL,
  location_ip VARBINARY(16) NOT NULL,
  user_id VARCHAR(200) NULL,
  visit_first_action_time DATETIME NOT NULL,
  visit_total_actions INT UNSIGNED NULL,
  visit_total_time INT UNSIGNED NOT NULL,
  visit_entry_idaction_url INT UNSIGNED NULL,
  visitor_count_visits INT UNSIGNED NOT NULL DEFAULT 0,
  visitor_localtime TIME NULL,
  referer_type TINYINT UNSIGNED NULL,
  referer_url VARCHAR(1500) NULL,
  config_browser_name VARCHAR(40) NULL,
  config_os CHAR(3) NULL,
  config_resolution VARCHAR(18) NULL,
  location_browser_lang VARCHAR(20) NULL,
  location_country CHAR(3) NULL,
  location_region CHAR(3) NULL,
  location_city VARCHAR(255) NULL,
  location_latitude DECIMAL(9,6) NULL,
  location_longitude DECIMAL(9,6) NULL,
  INDEX index_idsite_config_datetime (idsite, config_id, visit_last_action_time),
  INDEX index_idsite_datetime (idsite, visit_last_action_time),
  INDEX index_idsite_idvisitor_time (idsite, idvisitor, visit_last_action_time DESC)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE matomo_log_action (
  idaction INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(4096),
  hash INT UNSIGNED NOT NULL,
  type TINYINT UNSIGNED NULL,
  url_prefix TINYINT(2) NULL,
  INDEX index_type_hash (type, hash)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE matomo_log_link_visit_action (
  idlink_va BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  idsite INT UNSIGNED NOT NULL,
  idvisitor BINARY(8) NOT NULL,
  idvisit BIGINT UNSIGNED NOT NULL,
  idaction_url_ref INT UNSIGNED NULL DEFAULT 0,
  idaction_name_ref INT UNSIGNED NULL,
  custom_float DOUBLE NULL,
  pageview_position MEDIUMINT UNSIGNED NULL,
  server_time DATETIME NOT NULL,
  idaction_url INT UNSIGNED NULL,
  idaction_name INT UNSIGNED NULL,
  time_spent_ref_action INT UNSIGNED NULL,
  INDEX index_idvisit (idvisit)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE matomo_log_conversion (
  idvisit BIGINT UNSIGNED NOT NULL,
  idsite INT UNSIGNED NOT NULL,
  idvisitor BINARY(8) NOT NULL,
  server_time DATETIME NOT NULL,
  idaction_url INT UNSIGNED NULL,
  idlink_va BIGINT UNSIGNED NULL,
  idgoal INT NOT NULL,
  buster INT UNSIGNED NOT NULL,
  idorder VARCHAR(100) NULL,
  items SMALLINT UNSIGNED NULL,
  url VARCHAR(4096) NOT NULL,
  revenue DOUBLE NULL,
  PRIMARY KEY (idvisit, idgoal, buster),
  UNIQUE KEY unique_idsite_idorder (idsite, idorder),
  INDEX index_idsite_datetime (idsite, server_time)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
CREATE TABLE matomo_log_conversion_item (
  idsite INT UNSIGNED NOT NULL,
  idvisitor BINARY(8) NOT NULL,
  server_time DATETIME NOT NULL,
  idvisit BIGINT UNSIGNED NOT NULL,
  idorder VARCHAR(100) NOT NULL,
  idaction_sku INT UNSIGNED NOT NULL,
  idaction_name INT UNSIGNED NOT NULL,
  idaction_category INT UNSIGNED NOT NULL,
  price DOUBLE NOT NULL,
  quantity INT UNSIGNED NOT NULL,
  deleted TINYINT(1) UNSIGNED NOT NULL,
  PRIMARY KEY (idvisit, idorder, idaction_sku),
  INDEX index_idsite_servertime (idsite, server_time)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
