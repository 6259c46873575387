-- What an entry of a sorted set stands for. KEYS: list, outbox, the sorted set. ARGV: fixed fields,
-- the entry. Answers nonce, status, the entry's time, place, contact, entry of the log, delivery.
-- Where it stands for nothing any more it is taken off, if that was asked for.
local nonce, now, bounded, drops = struct.unpack('>c8I8BB', ARGV[1])
local entry = ARGV[2]
local at = redis.pcall('ZSCORE', KEYS[3], entry)
if type(at) == 'table' then return {nonce, 'torn'} end
if not at then return {nonce, 'gone'} end
at = tonumber(at)
now = clock(now)
if bounded == 1 and at > now then return {nonce, 'gone'} end
local tail, what = tail_of(KEYS[1])

local function stands_for_nothing()
  if drops == 1 then redis.call('ZREM', KEYS[3], entry) end
  return {nonce, 'nothing'}
end

if what == 'none' then return stands_for_nothing() end
if what ~= 'home' then return {nonce, what} end
local h, place, raw = unpack_head(tail[1]), 0, ''
if not whole(KEYS[1], h) then return {nonce, 'torn'} end
if #entry == 16 then
  if #h.waiting == 0 then return stands_for_nothing() end
  place = struct.unpack('>I5', h.waiting)
else
  raw = redis.pcall('HGET', KEYS[2], 'd' .. string.sub(entry, 17))
  if type(raw) == 'table' then return {nonce, 'torn'} end
  local d, there = unpack_delivery(raw, now)
  if there == 'gone' then return stands_for_nothing() end
  if not d then return {nonce, there} end
  place = d.place
end
if place < 1 or place > h.seq then return {nonce, 'torn'} end
return {nonce, 'found', at, place, tail[2], redis.call('LINDEX', KEYS[1], place - 1), raw}
