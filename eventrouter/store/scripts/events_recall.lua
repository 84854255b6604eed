-- events_recall: describe events that the caller owns, such as those of a claim whose answer was lost.
-- KEYS 1 clock  2 ev  3 pl  4 lr
-- ARGV 1 inc  2 caller's wall, ms  3… ids (<= 100)
-- Answers {'OK', now, (ten fields of _describe)…}, leaving out what inc does not own.
--!include _release
--!include _lease_clock
--!include _event
--!include _describe
local answer = {'OK', now}
for i = 3, #ARGV do
  local id = ARGV[i]
  local value = redis.call('HGET', KEYS[2], id)
  local e = value and read_event(value)
  if e and e.s == 'C' and e.o == ARGV[1] then
    local payload, response = redis.call('HGET', KEYS[3], id), redis.call('HGET', KEYS[4], id)
    describe(answer, id, e, payload, response, tonumber(ARGV[2]))
  end
end
return answer
