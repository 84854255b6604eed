-- queue_exists: look whether a queue exists.
-- KEYS 1 the queue's hash
-- Answers {'OK', generation} | {'MISSING'}
-- Writes nothing.
local generation = redis.call('HGET', KEYS[1], 'generation')
if not generation then return {'MISSING'} end
return {'OK', generation}
