-- Put what became of a delivery in the place of what was known of it, or keep the word until there
-- is one that it is of. KEYS: list, outbox, what is due, what is dead.
-- ARGV: fixed fields, delivery expected, delivery then, what a provider's id was expected to name,
-- what it names then ('' for nothing; for "then", to leave it)[, the recipient's address as it is
-- packed, its hash]. Answers nonce, status, the
-- delivery's id, the delivery, and what the provider's id names.
local NOBODY = string.rep('\0', 16)
local nonce, now, life, asks, id, list, provider, retries, wait = struct.unpack('>c8I8I8Bc16c16c16BI8', ARGV[1])
now = clock(now)
local tail, what = tail_of(KEYS[1])
if what ~= 'home' then return {nonce, what, tail or ''} end
if #ARGV > 5 and not is_of(tail[2], unpack_head(tail[1]), ARGV[6], ARGV[7]) then return {nonce, 'other'} end
local kept = redis.pcall('HMGET', KEYS[2], 'd' .. id, 'p' .. provider, 'n', 'x')
if kept.err then return {nonce, 'torn'} end
local raw, named = kept[1], kept[2] or ''
local limit, ends = bounds(kept[3], kept[4])
if not limit then return {nonce, 'torn'} end
if #named > 6 and struct.unpack('>I6', named, #named - 5) <= now then named = '' end
if id == NOBODY and #named == 23 and string.byte(named) == 100 then
  id = string.sub(named, 2, 17)
  raw = redis.call('HGET', KEYS[2], 'd' .. id)
end
local was, there = unpack_delivery(raw, now)
if there == 'torn' or there == 'format' then return {nonce, there} end
if not was then raw = '' end
if asks == 1 or raw ~= ARGV[2] or named ~= ARGV[4] then return {nonce, 'again', id, raw, named} end

local fields = {}
if ARGV[3] ~= '' then
  local d = unpack_delivery(ARGV[3], 0)
  if retries == 1 then d.due = now + wait end
  local refused = list_delivery(nonce, KEYS[3], KEYS[4], list .. id, d, was.status, now)
  if refused then return refused end
  raw = pack_delivery(d)
  fields[1], fields[2] = 'd' .. id, raw
end
if ARGV[5] ~= '' then
  named = ARGV[5] .. struct.pack('>I6', math.max(now + life, was and was.ends or 0))
  fields[#fields + 1], fields[#fields + 2] = 'p' .. provider, named
end
-- Words on what nobody knows come without the log growing: not its length says when to look.
if #fields > 0 then remember(KEYS[2], string.byte(provider, 16), now, life, limit, ends, fields) end
return {nonce, 'ok', id, raw, named}
