-- Passage: a removed lane is remembered for 10 minutes, so that a late call does not bring it back. The mark is
-- rubbish after that. KEYS[1] is the lane.
if redis.call('HEXISTS', KEYS[1], 'gone') == 1 then return {'GONE'} end
