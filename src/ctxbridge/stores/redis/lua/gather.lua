-- All that belongs to a conversation, for a merge or a split. KEYS: list, ids, outbox, notes.
-- ARGV: nonce. Answers nonce, status, the list, and fields and values of each of the others.
local all = redis.pcall('LRANGE', KEYS[1], 0, -1)
local ids, outbox, notes = redis.pcall('HGETALL', KEYS[2]), redis.pcall('HGETALL', KEYS[3]), redis.pcall('HGETALL', KEYS[4])
if all.err or ids.err or outbox.err or notes.err then return {ARGV[1], 'torn'} end
return {ARGV[1], 'ok', all, ids, outbox, notes}
