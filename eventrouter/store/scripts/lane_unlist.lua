-- lane_unlist: strike units from a mapping's register, or end the register.
-- KEYS 1 register, see lane_list
-- ARGV units (100 at most); none ends the register
-- Answers {'OK'}
-- Harmless to repeat. An ended register is remembered for 10 minutes; after that the mark is rubbish.
--!include _release
if #ARGV > 0 then
  redis.call('HDEL', KEYS[1], unpack(ARGV))
else
  redis.call('UNLINK', KEYS[1])
  redis.call('HSET', KEYS[1], '', '1')
  redis.call('PEXPIRE', KEYS[1], 600000)
end
return {'OK'}
