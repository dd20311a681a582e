package config

// maxSuggested is the longest word that is compared: distance is quadratic, and no word of ours comes near it.
const maxSuggested = 32

// DidYouMean returns ` (did you mean "x"?)` for the known word closest to text, or "" where none is close.
func DidYouMean(text string, known []string) string { return didYouMean(text, known) }

// didYouMean returns ` (did you mean "x"?)` for the known word closest to text, or "" where none is close.
func didYouMean(text string, known []string) string {
	if word := nearest(text, known); word != "" {
		return ` (did you mean "` + word + `"?)`
	}
	return ""
}

// nearest returns the first known word with the smallest distance from text. Two slips are allowed, one in a word of
// three letters or fewer: a suggestion that is a guess is worse than none.
func nearest(text string, known []string) string {
	if len(text) > maxSuggested {
		return ""
	}
	best, limit := "", 2
	if len(text) <= 3 {
		limit = 1
	}
	for _, word := range known {
		if d := distance(text, word); d <= limit {
			best, limit = word, d-1
		}
	}
	return best
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
