-- Puts the signal back for another worker, where there is something for it.
--   answers  done

signal(queue_at(base))
return { "done" }
