-- What a simulation does to the in-memory server besides commands: it loses what it did last, its tags' clocks go
-- along when virtual time leaps, and its memory is full.
local server = ...
local commands, find = server.commands, string.find

local function copy(value, seen)
  if type(value) ~= 'table' then return value end
  if seen[value] then return seen[value] end
  local twin = {}
  seen[value] = twin
  for key, item in next, value do twin[copy(key, seen)] = copy(item, seen) end
  return setmetatable(twin, getmetatable(value))
end

local saved = {}

function server.save(name)
  local seen, keys = {}, {}
  for _, key in ipairs(server.live_keys()) do keys[key] = copy(server.any(key), seen) end
  saved[name] = keys
end

function server.load(name)
  local keys = saved[name]
  saved[name] = nil
  server.flush()
  for key, object in next, keys do
    server.add(key, object)
    server.touch(key)
  end
end

local clocks = {}

function server.clock(key)
  clocks[key] = true
end

function server.leap(ms)
  for key in next, clocks do
    if server.any(key) then
      local wall, lease = unpack(commands.HMGET({key, 'w', 'l'}, 3, 'HMGET'))
      if wall then
        commands.HSET(
          {key, 'w', string.format('%.0f', wall + ms), 'l', string.format('%.0f', lease + ms)}, 5, 'HSET')
      end
    else
      clocks[key] = nil
    end
  end
end

-- A full server refuses a script's first write if that could need memory, and the same command outside of scripts.
local DENIED = {}
for name in string.gmatch('SET HSET HINCRBY ZADD SADD XADD LPUSH RPUSH INCR HMSET HSETNX ZINCRBY INCRBY', '%S+') do
  DENIED[name] = true
end
local FREEING = {}
for name in string.gmatch('DEL UNLINK HDEL ZREM SREM XDEL XTRIM ZREMRANGEBYSCORE ZREMRANGEBYRANK PEXPIRE EXPIRE LPOP RPOP SPOP ZPOPMIN', '%S+') do
  FREEING[name] = true
end
local full, has_written = false, true

function server.fill(is_full)
  full = is_full
end

for name, command in next, commands do
  if DENIED[name] then
    commands[name] = function(args, count, called)
      if full and not has_written then
        server.fail("OOM command not allowed when used memory > 'maxmemory'.")
      end
      has_written = true
      return command(args, count, called)
    end
  elseif FREEING[name] then
    commands[name] = function(args, count, called)
      has_written = true
      return command(args, count, called)
    end
  end
end

local evalsha = commands.EVALSHA
commands.EVALSHA = function(args, count, called)
  has_written = not full
  return evalsha(args, count, called)
end
