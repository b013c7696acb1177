-- Version 4. In whose name a storage item stands, where that is not the site's own.
ALTER TABLE storage_items ADD COLUMN host TEXT;
