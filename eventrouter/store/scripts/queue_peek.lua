-- queue_peek: messages in the order in which they were sent, without receiving them.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 how many to leave out   4 how many at most (100)
-- Answers {'OK', lease, {'visible' | 'in_flight' | 'delayed', message as in _queue.lua...}...} | {'MISSING', 0}
-- After 1 MB of bodies there are no more.
--!include _queue
if redis.call('EXISTS', Q) == 0 then return {'MISSING', 0} end
--!include _release
--!include _lease_clock
--!include _witness
trim(now, agreed)
local answer, room = {'OK', now}, 1048576
for _, id in ipairs(redis.call('ZRANGE', S, ARGV[3], ARGV[3] + ARGV[4] - 1)) do
  if room <= 0 then break end
  local record = cjson.decode(redis.call('HGET', M, id))
  local found = shown(id, record, record.r or '')
  local state = 'visible'
  if tonumber(redis.call('ZSCORE', V, id)) > now then
    state = record.n == 0 and 'delayed' or 'in_flight'
  end
  table.insert(found, 1, state)
  room = room - #found[8]
  answer[#answer + 1] = found
end
return answer
