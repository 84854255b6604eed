-- functions_delete: remove a function's record and its reservation.
-- KEYS 1-5 as _record_check  6 lim  7 use
-- ARGV and further answers: see _record_delete
-- Answers {'OK', revision}
--!include _release
--!include _record_delete
--!include _slots
local before, after = redis.call('HGET', KEYS[6], key), ''
local sum, change = '_r:' .. pool(key), -tonumber(before or 0)
--!include _reserve
return {'OK', revision}
