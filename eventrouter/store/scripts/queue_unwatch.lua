-- queue_unwatch: strike a queue from the register of those that may have an outbox.
-- KEYS 1 the register
-- ARGV 1 queue   2 only if it was last noted at this wall time (ms) or before
-- Answers {'OK'}. Only ever releases.
local noted = redis.call('ZSCORE', KEYS[1], ARGV[1])
if noted and tonumber(noted) <= tonumber(ARGV[2]) then redis.call('ZREM', KEYS[1], ARGV[1]) end
return {'OK'}
