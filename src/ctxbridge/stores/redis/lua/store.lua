-- Say what this store is, the first time; afterwards tell what it was said to be.
-- KEYS: the store. ARGV: nonce, format, shards, epoch. Answers nonce, status, the three.
local known = redis.pcall('HMGET', KEYS[1], 'format', 'shards', 'epoch')
if known.err then return {ARGV[1], 'torn'} end
if not known[3] then
  redis.call('HSET', KEYS[1], 'format', ARGV[2], 'shards', ARGV[3], 'epoch', ARGV[4])
  known = {ARGV[2], ARGV[3], ARGV[4]}
end
return {ARGV[1], 'ok', known[1], known[2], known[3]}
