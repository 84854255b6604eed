-- events_claim: move due events of one function to the caller, oldest first.
-- KEYS 1 clock  2 ev  3 pl  4 lr  5 idx  6 hold  7 reg  8 own of the caller  9 seq of the caller  10 queue
-- ARGV 1 inc  2 function  3 seq: number of this claim, growing  4 limit (<= 100)  5 caller's wall, ms
--      6 '1': the caller has a slot of the function
-- Answers {'OK', now, (ten fields of _describe)…} | {'DEAD'} | {'OLD'}
-- Nothing is claimed unless reg[inc] is 1, and the function is not held or the caller has a slot of it: then the hold,
-- which somebody without one has set, is over. The same seq again answers what its first run claimed and is still
-- owned; an older seq, a late duplicate that nobody waits for, claims nothing.
--!include _release
if redis.call('HGET', KEYS[7], ARGV[1]) ~= '1' then
  return {'DEAD'}
end
--!include _lease_clock
--!include _index
--!include _event
--!include _describe
local inc, fn, seq, caller_wall = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
local last = tonumber(redis.call('HGET', KEYS[9], fn) or 0)
if seq < last then
  return {'OLD'}
end
local ids = {}
if seq == last then
  local owned, mark = redis.call('HGETALL', KEYS[8]), ARGV[3] .. '|' .. fn
  for i = 1, #owned, 2 do
    if string.match(owned[i + 1], '^%d+|(.*)$') == mark then
      ids[#ids + 1] = owned[i]
    end
  end
else
  redis.call('HSET', KEYS[9], fn, ARGV[3])
  local held = redis.call('ZSCORE', KEYS[6], fn)
  if ARGV[6] == '1' or not held or tonumber(held) <= now then
    ids = redis.call('ZRANGEBYSCORE', KEYS[10], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[4])
    redis.call('ZREM', KEYS[6], fn)
  end
end
local answer = {'OK', now}
if not ids[1] then
  reindex(KEYS[5], KEYS[6], KEYS[10], fn)
  return answer
end
local values = redis.call('HMGET', KEYS[2], unpack(ids))
local payloads = redis.call('HMGET', KEYS[3], unpack(ids))
local responses = redis.call('HMGET', KEYS[4], unpack(ids))
local claimed, owned = {}, {}
for i, id in ipairs(ids) do
  local e = read_event(values[i])
  if e.s == 'R' then
    e.s, e.o, e.a = 'C', inc, e.a + 1
    claimed[#claimed + 1] = id
    claimed[#claimed + 1] = write_event(e)
    owned[#owned + 1] = id
    owned[#owned + 1] = e.a .. '|' .. ARGV[3] .. '|' .. fn
  end
  describe(answer, id, e, payloads[i], responses[i], caller_wall)
end
if claimed[1] then
  redis.call('ZREM', KEYS[10], unpack(ids))
  redis.call('HSET', KEYS[2], unpack(claimed))
  redis.call('HSET', KEYS[8], unpack(owned))
end
reindex(KEYS[5], KEYS[6], KEYS[10], fn)
return answer
