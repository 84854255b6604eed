-- queue_move_turn: cancel or end a task.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 handle   4 status that it shall have   5 why it failed, or ''
-- Answers {'OK', 0, the task} | {'GONE', 0}: no such task, or none to be cancelled | {'MISSING', 0}
-- Harmless to repeat, early or late: a task only goes on, to CANCELLING from RUNNING, and then to an end, once.
--!include _queue
if redis.call('EXISTS', Q) == 0 then return {'MISSING', 0} end
--!include _release
local stored = redis.call('HGET', MV, ARGV[3])
if not stored then return {'GONE', 0} end
local task = cjson.decode(stored)
if task.status == ARGV[4] then return {'OK', 0, stored} end
local active = task.status == 'RUNNING' or task.status == 'CANCELLING'
if ARGV[4] == 'CANCELLING' and task.status ~= 'RUNNING' then return {'GONE', 0} end
if active then
  task.status, task.failure = ARGV[4], ARGV[5]
  stored = cjson.encode(task)
  redis.call('HSET', MV, ARGV[3], stored)
end
return {'OK', 0, stored}
