-- what:       the outcome of each row, once it is known
-- grain:      $grain, of those with an outcome
-- parameters: $parameters
${notes}select
$columns
from $table
where $condition
  and $outcome is not null
