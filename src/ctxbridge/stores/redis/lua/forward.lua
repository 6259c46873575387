-- Put a forward where an address was nobody's, or another forward in the place of one.
-- KEYS: list. ARGV: nonce, element expected ('' for nothing), element then ('' for nothing).
-- Answers nonce, whether it was done, how many elements are there and the first of them.
local found = redis.pcall('LRANGE', KEYS[1], 0, 1)
if found.err then return {ARGV[1], 'torn'} end
if #found > 1 or (found[1] or '') ~= ARGV[2] then
  local same = #found == 1 and found[1] == ARGV[3] or (#found == 0 and ARGV[3] == '')
  return {ARGV[1], same and 'ok' or 'other', #found, found[1] or ''}
end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[1])
elseif #found == 1 then
  redis.call('LSET', KEYS[1], 0, ARGV[3])
else
  redis.call('RPUSH', KEYS[1], ARGV[3])
end
redis.call('LLEN', KEYS[1])
return {ARGV[1], 'ok', 1, ARGV[3]}
