-- lane_save: store how far the owner of a lane has come.
-- KEYS 1 lane, see lane_take
-- ARGV 1 inc   2 epoch   3 number of this save: grows within an epoch   4 checkpoint, or ''
--      5 how many arguments follow that are fields and values to set   6.. those, then fields to delete (at most
--      about 100 of each)
-- Answers {'OK'} | {'OLD'} if a later save was stored | {'LOST'} if (inc, epoch) does not own the lane
-- Harmless to repeat: a number is stored once, and never after a greater one. The checkpoint only grows.
--!include _release
local lane = redis.call('HMGET', KEYS[1], 'o', 'e', 'q', 'c')
if lane[1] ~= ARGV[1] or lane[2] ~= ARGV[2] then return {'LOST'} end
local number, last = tonumber(ARGV[3]), tonumber(lane[3] or 0)
if number <= last then return {number == last and 'OK' or 'OLD'} end
local set = tonumber(ARGV[5])
redis.call('HSET', KEYS[1], 'q', ARGV[3], unpack(ARGV, 6, 5 + set))
if #ARGV > 5 + set then redis.call('HDEL', KEYS[1], unpack(ARGV, 6 + set)) end
local there, here = lane[4] or '', ARGV[4]
if #here > #there or (#here == #there and here > there) then redis.call('HSET', KEYS[1], 'c', here) end
return {'OK'}
