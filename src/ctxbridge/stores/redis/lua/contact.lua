-- Put another contact in the place of the one that was read, and perhaps an entry that tells of it.
-- KEYS: list, where the contact is found. ARGV: nonce, contact expected ('' for nobody), contact
-- then, entry ('' for none), conversation and list of somebody new.
local nonce = ARGV[1]
local tail, what = tail_of(KEYS[1])
if what ~= 'home' and what ~= 'none' then return {nonce, what, tail or ''} end
local had = what == 'home'
if ARGV[2] ~= (had and tail[2] or '') then return {nonce, 'again'} end
if not had and not unclaimed(KEYS[2]) then return {nonce, 'torn'} end
local h, state = new_head(ARGV[5]), ''
if had then
  h, state = unpack_head(tail[1]), tail[3]
  if not whole(KEYS[1], h) then return {nonce, 'torn'} end
end
if ARGV[4] == '' then
  redis.call('LSET', KEYS[1], -2, ARGV[3])
else
  h.seq, h.revision = h.seq + 1, h.revision + 1
  if not had then redis.call('SET', KEYS[2], ARGV[6]) end
  -- A server without memory must refuse before anything is taken away.
  if had then redis.call('LSET', KEYS[1], -2, ARGV[3]) end
  append(KEYS[1], had, {ARGV[4]}, pack_head(h), ARGV[3], state)
end
redis.call('LLEN', KEYS[1])
return {nonce, 'ok', h.seq}
