-- queue_moves: the tasks on a queue that are known.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness
-- Answers {'OK', 0, task...} | {'MISSING', 0}
-- Writes nothing.
--!include _queue
if redis.call('EXISTS', Q) == 0 then return {'MISSING', 0} end
local answer = {'OK', 0}
for _, task in ipairs(redis.call('HVALS', MV)) do answer[#answer + 1] = task end
return answer
