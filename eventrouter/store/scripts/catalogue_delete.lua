-- catalogue_delete: remove a record if nobody has changed it meanwhile.
-- KEYS, ARGV and further answers: see _record_delete
-- Answers {'OK', revision}
--!include _release
--!include _record_delete
return {'OK', revision}
