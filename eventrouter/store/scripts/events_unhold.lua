-- events_unhold: let a function's events be claimed again.
-- KEYS 1 clock  2 idx  3 hold  4 queue
-- ARGV 1 function
-- Answers {'OK', now}
--!include _release
--!include _lease_clock
--!include _index
redis.call('ZREM', KEYS[3], ARGV[1])
reindex(KEYS[2], KEYS[3], KEYS[4], ARGV[1])
return {'OK', now}
