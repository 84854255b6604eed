-- inbox_reply: put an answer into the inbox of whoever asked, once.
-- KEYS as inbox_send, of that inbox
-- ARGV 1 id of the answer  2 most entries  3 keep (ms)  4.. fields and values of the entry
-- Answers {'OK'} (now or before)
--!include _release
--!include _lease_clock
local tombs = {KEYS[4], KEYS[5], KEYS[6]}
--!include _tombstones
if buried(ARGV[1]) then
  return {'OK'}
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 4))
redis.call('SADD', tomb, ARGV[1])
for key = 1, 6 do
  redis.call('PEXPIRE', KEYS[key], ARGV[3])
end
return {'OK'}
