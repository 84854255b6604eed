-- queue_hide: change how long received messages stay hidden, counted from now.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3 nonce: made by the caller, names this call
--      4.. of each message (10 at most) id, receive count, nonce, ms
-- Answers {'OK', lease, of each 'OK' | 'GONE' | 'STALE' if it was received again since
--         | 'IDLE' on a FIFO queue, if its visibility has run out | 'LONG' if that is over 12 h since it was received}
--         | {'MISSING', 0}
-- Harmless to repeat: for 10 s the same nonce changes nothing more.
--!include _queue
if redis.call('EXISTS', Q) == 0 then return {'MISSING', 0} end
--!include _release
--!include _lease_clock
--!include _witness
trim(now, agreed)
local answer = {'OK', now}
local before = redis.call('HGET', RN, ARGV[3])
if before then
  for code in string.gmatch(before, '[^ ]+') do answer[#answer + 1] = code end
  return answer
end
for i = 4, #ARGV, 4 do
  local id, till = ARGV[i], now + tonumber(ARGV[i + 3])
  local stored = redis.call('HGET', M, id)
  local record = stored and cjson.decode(stored)
  local code = 'OK'
  if not record then
    code = 'GONE'
  elseif record.n ~= tonumber(ARGV[i + 1]) or record.r ~= ARGV[i + 2] then
    code = 'STALE'
  elseif record.q and tonumber(redis.call('ZSCORE', V, id)) <= now then
    code = 'IDLE'
  elseif till > (record.i or now) + 43200000 then
    code = 'LONG'
  else
    record.c = 1
    redis.call('HSET', M, id, cjson.encode(record))
    redis.call('ZADD', V, text(till), id)
    if record.q then regroup(record.g, now) end
  end
  answer[#answer + 1] = code
end
remember(ARGV[3], table.concat(answer, ' ', 3), now + 10000)
return answer
