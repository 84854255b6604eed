-- queue_delete: remove messages that were received.
-- KEYS as in _queue.lua
-- ARGV 1 witness, 2 wall: see _witness   3.. of each receipt (10 at most) id, receive count, nonce
-- Answers {'OK', lease, of each 'OK' | 'STALE' if it was received again since | 'GONE' if it is not here
--         | 'EXPIRED' on a FIFO queue, if its visibility has run out} | {'MISSING', 0}: no queue
-- Harmless to repeat: only the latest receipt of a message removes it.
--!include _queue
if redis.call('EXISTS', Q) == 0 then return {'MISSING', 0} end
--!include _release
--!include _lease_clock
--!include _witness
local answer = {'OK', now}
for i = 3, #ARGV, 3 do
  local id = ARGV[i]
  local stored = redis.call('HGET', M, id)
  local record = stored and cjson.decode(stored)
  local code = 'OK'
  if not record then
    code = 'GONE'
  elseif record.n ~= tonumber(ARGV[i + 1]) or record.r ~= ARGV[i + 2] then
    code = 'STALE'
  elseif record.q and tonumber(redis.call('ZSCORE', V, id)) <= now then
    code = 'EXPIRED'
  else
    remove_message(id, record, now)
  end
  answer[#answer + 1] = code
end
return answer
