-- queue_move_start: start a task that moves a queue's messages.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 handle, made by the caller   4 the task, JSON
-- Answers {'OK', 0, the task} | {'BUSY', 0} while another task is active | {'MISSING', 0}
-- Intake. Harmless to repeat: a handle that is known is left as it is. The last 10 tasks are known.
--!intake
--!include _queue
if redis.call('EXISTS', Q) == 0 then return {'MISSING', 0} end
local known = redis.call('HGET', MV, ARGV[3])
if known then return {'OK', 0, known} end
local oldest, count = nil, 0
for _, stored in ipairs(redis.call('HVALS', MV)) do
  local task = cjson.decode(stored)
  if task.status == 'RUNNING' or task.status == 'CANCELLING' then return {'BUSY', 0} end
  if not oldest or task.started_at_ms < oldest.started_at_ms then oldest = task end
  count = count + 1
end
local task = cjson.decode(ARGV[4])
task.total = redis.call('ZCARD', V)
local stored = cjson.encode(task)
redis.call('HSET', MV, ARGV[3], stored)
if count >= 10 then redis.call('HDEL', MV, oldest.handle) end
return {'OK', 0, stored}
