-- reader_wake: interrupt a node that is blocked in a read of many streams, by an entry in one that is its own.
-- KEYS 1 wake: the stream
-- Answers {'OK'}
-- The trim comes first: it takes nothing in, so the script works when memory is full.
redis.call('XTRIM', KEYS[1], 'MAXLEN', 0)
redis.call('XADD', KEYS[1], '*', 'r', '')
redis.call('PEXPIRE', KEYS[1], 3600000)
return {'OK'}
