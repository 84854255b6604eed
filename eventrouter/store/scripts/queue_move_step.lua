-- queue_move_step: take visible messages into the outbox for a task, and count them.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 handle   4 nonce: made by the caller, names this step
--      5 how many at most (100)
-- Answers {'OK', lease, the task, how many were taken, how many have nowhere to go} | {'GONE', lease}: no such task
--         | {'MISSING', 0}
-- Takes nothing unless the task is RUNNING. Harmless to repeat: for 10 s the same nonce takes nothing more.
--!include _queue
if redis.call('EXISTS', Q) == 0 then return {'MISSING', 0} end
--!include _release
--!include _lease_clock
--!include _witness
--!include _queue_leave
local stored = redis.call('HGET', MV, ARGV[3])
if not stored then return {'GONE', now} end
trim(now, agreed)
local before = redis.call('HGET', RN, ARGV[4])
if before then
  local moved, homeless = string.match(before, '^(%d+) (%d+)$')
  return {'OK', now, stored, tonumber(moved), tonumber(homeless)}
end
local task, limit, moved, homeless = cjson.decode(stored), tonumber(ARGV[5]), 0, 0
if task.status ~= 'RUNNING' then return {'OK', now, stored, 0, 0} end

-- Says whether the message has gone.
local function take(id)
  local record = cjson.decode(redis.call('HGET', M, id))
  local to = task.to
  if to == '' and not record.b then to = record.l or '' end
  if to == '' then
    homeless = homeless + 1
    return false
  end
  moved = moved + 1
  leave(id, record, to, '')
  return true
end

if redis.call('HGET', Q, 'is_fifo') == '1' then
  wake_groups(now)
  for _, group in ipairs(redis.call('ZRANGE', GA, 0, limit - 1)) do
    for _, place in ipairs(first_of(group, limit - moved)) do
      local id = string.sub(place, #group + 23)
      if tonumber(redis.call('ZSCORE', V, id)) > now or not take(id) then break end
    end
  end
else
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', V, '-inf', text(now), 'LIMIT', 0, 100)) do
    if moved == limit then break end
    take(id)
  end
end
task.moved = task.moved + moved
stored = cjson.encode(task)
redis.call('HSET', MV, ARGV[3], stored)
remember(ARGV[4], text(moved) .. ' ' .. text(homeless), now + 10000)
return {'OK', now, stored, moved, homeless}
