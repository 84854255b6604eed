-- catalogue_put: store a record if nobody has changed it meanwhile.
-- KEYS, ARGV and answers: see _record_check
--!intake
--!include _record_check
--!include _record_write
return {'OK', revision}
