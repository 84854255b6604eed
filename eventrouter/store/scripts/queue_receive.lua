-- queue_receive: take visible messages and hide them.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 nonce: made by the caller, names this receive
--      4 how many at most (10)   5 visibility (ms), -1 for the queue's
-- Answers {'OK', lease, {id, receive count, nonce, sent at, first received at, sender, body, extras}...}
--         | {'EMPTY', lease, ms until one becomes visible or -1, the queue's own wait}
--         | {'MISSING', 0}
-- Harmless to repeat: for 10 s the same nonce gets the same messages, those that nobody took or deleted since.
--!include _queue
local settings = redis.call('HMGET', Q, 'visibility_ms', 'wait_ms')
if not settings[1] then return {'MISSING', 0} end
--!include _release
--!include _lease_clock
--!include _witness
trim(now, agreed)

local nonce = ARGV[3]
local answer = {'OK', now}
local function hand_out(id, record)
  answer[#answer + 1] = {
    id, string.format('%.0f', record.n), nonce, string.format('%.0f', record.t), string.format('%.0f', record.f),
    record.u, redis.call('HGET', B, id), redis.call('HGET', X, id) or ''
  }
end

local before = redis.call('HGET', RN, nonce)
if before then
  for id in string.gmatch(before, '[^ ]+') do
    local stored = redis.call('HGET', M, id)
    local record = stored and cjson.decode(stored)
    if record and record.r == nonce then hand_out(id, record) end
  end
  return answer
end

local visibility = tonumber(ARGV[5])
if visibility < 0 then visibility = tonumber(settings[1]) end
local ids = redis.call('ZRANGEBYSCORE', V, '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[4])
for _, id in ipairs(ids) do
  local record = cjson.decode(redis.call('HGET', M, id))
  record.n = record.n + 1
  record.r = nonce
  record.f = record.f or agreed
  redis.call('HSET', M, id, cjson.encode(record))
  redis.call('ZADD', V, string.format('%.0f', now + visibility), id)
  hand_out(id, record)
end
if #ids > 0 then
  redis.call('HSET', RN, nonce, table.concat(ids, ' '))
  redis.call('ZADD', RT, string.format('%.0f', now + 10000), nonce)
  return answer
end
local first = redis.call('ZRANGE', V, 0, 0, 'WITHSCORES')
return {'EMPTY', now, first[2] and math.max(first[2] - now, 0) or -1, tonumber(settings[2])}
