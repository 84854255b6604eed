-- Passage: the first write of every script that takes in nothing. Redis tests memory only at a script's first
-- write, and a releasing one passes; so this script still works when memory is full. KEYS[1] is a hash.
redis.call('HDEL', KEYS[1], '~')
