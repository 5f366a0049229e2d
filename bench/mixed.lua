-- wrk: what a site's visitors do, and now and then a writer, by the token in $COURANT_BENCH_TOKEN
local n, paths = 0, {}

function init(args)
   paths = args
   token = "Bearer " .. os.getenv("COURANT_BENCH_TOKEN")
   body = '","lead":"A lead","content":"' .. string.rep("Some *words* of a text. ", 40) .. '","tags":["mixed"],"publish":true}'
   number = os.time() * 1000000
end

function request()
   n = n + 1
   if n % 50 == 0 then
      number = number + 1
      return wrk.format("POST", "/api/articles", {["Authorization"] = token, ["Content-Type"] = "application/json"},
         '{"title":"Запись ' .. number .. body)
   end
   return wrk.format("GET", paths[n % #paths + 1], n % 3 == 0 and {["Authorization"] = token} or {})
end
