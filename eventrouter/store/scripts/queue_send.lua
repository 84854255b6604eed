-- queue_send: store messages, in order.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3.. of each message (10 at most) header, body, and extras or ''
--      A header is JSON: a record as in _queue.lua with the id (made by the sender), and z, bytes that count against
--      the maximum, and d, delay (ms), none for the queue's. With h the message comes from another queue's outbox:
--      then there is neither z nor d, and e is 1 if it arrives as a new message.
-- Answers {'OK', lease, of each message {'OK', id, sequence number or '', delay that applied}
--         | {'DUP', id and sequence number of the first, 0} if it is or was here | {'LARGE', the queue's maximum}}
--         | {'MISSING', 0}
-- Intake: a deny-oom write comes first. Harmless to repeat: see DUP.
--!intake
--!include _queue
local settings = redis.call('HMGET', Q, 'delay_ms', 'max_bytes', 'deduplication_scope')
if not settings[1] then return {'MISSING', 0} end
--!include _lease_clock
--!include _witness
--!include _queue_put
local function deduplication_key(record)
  if not fifo or record.h or (record.y or '') == '' then return nil end
  if settings[3] == 'messageGroup' then return record.g .. '\0' .. record.y end
  return record.y
end

-- What is known of a message, or of one that it repeats: {id, sequence number}, or nil.
local function known(id, record, key)
  local stored = redis.call('HGET', M, id)
  if stored then return {id, cjson.decode(stored).q or ''} end
  local first = key and redis.call('HGET', FD, key)
  if first and tonumber(redis.call('ZSCORE', FX, key)) > agreed then
    return {string.sub(first, 21), string.sub(first, 1, 20)}
  end
  local hop = record.h and id .. '/' .. text(record.h) or id
  if redis.call('ZSCORE', DD, hop) then return {id, ''} end
  return nil
end

local answer = {'OK', now}
for i = 3, #ARGV, 3 do
  local record = cjson.decode(ARGV[i])
  local id, delay = record.id, record.d or (record.h and 0 or -1)
  record.g = record.g or (fifo and '' or nil)
  local key = deduplication_key(record)
  local first = known(id, record, key)
  if first then
    answer[#answer + 1] = {'DUP', first[1], first[2], 0}
  elseif (record.z or 0) > tonumber(settings[2]) then
    answer[#answer + 1] = {'LARGE', tonumber(settings[2])}
  else
    if delay < 0 then delay = tonumber(settings[1]) end
    if record.h then redis.call('ZADD', DD, text(now + 3600000), id .. '/' .. text(record.h)) end
    if record.e or (record.h and fifo) then record.t = nil end
    if record.e then record.n, record.f, record.l = nil, nil, nil end
    record.id, record.z, record.d, record.e = nil, nil, nil, nil
    put_message(id, record, ARGV[i + 1], ARGV[i + 2], delay)
    if key then
      redis.call('HSET', FD, key, record.q .. id)
      redis.call('ZADD', FX, text(agreed + 300000), key)
    end
    answer[#answer + 1] = {'OK', id, record.q or '', delay}
  end
end
trim(now, agreed)
return answer
