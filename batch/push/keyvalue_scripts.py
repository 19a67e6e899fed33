"""Scripts that a Redis or Valkey server runs, each in one step."""

COPY = """
local missing = 0
for i = 3, #ARGV do
  local list = redis.call('GET', ARGV[1] .. ARGV[i])
  if list then redis.call('SET', ARGV[2] .. ARGV[i], list) else missing = missing + 1 end
end
return missing
"""
"""Copies lists to another prefix; gives the number of those that were not there."""
EACH = """
local found = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
for _, key in ipairs(found[2]) do redis.call(ARGV[4], key, unpack(ARGV, 5)) end
return found[1]
"""
"""Applies a command to the next keys of a scan; gives the cursor, which is "0" at the end."""
MOVE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'lock' end
if (redis.call('HGET', KEYS[2], 'now') or '') ~= ARGV[2] then return 'moved' end
redis.call('SET', KEYS[3], ARGV[3])
redis.call('DEL', KEYS[2])
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
return 'ok'
"""
"""Moves the pointer, if the lock is still ours and nobody else has moved it."""
