package newns

// Step is one thing that is done.
type Step interface{ String() string }

// Unshare makes namespaces.
type Unshare struct{ Kinds []string }

// MapIDs makes a user of the user namespace of the caller's; with Auto the rest is left to newuidmap(1).
type MapIDs struct {
	Inside, InsideGroup   uint32
	Outside, OutsideGroup uint32
	Auto                  bool
}

// ShiftClocks sets what the clocks of a time namespace are ahead, in seconds.
type ShiftClocks struct{ Monotonic, Boottime int64 }

// SetPropagation is that of the mounts at and below Path.
type SetPropagation struct {
	Path string
	Type Propagation
}

// PrepareTree copies what is at Source, in the caller's view, as the detached mount Slot.
type PrepareTree struct {
	Slot                int
	Source              string
	Recursive, ReadOnly bool
	// Try leaves the slot empty where there is no Source.
	Try bool
	// Type is a propagation to set, or "".
	Type Propagation
	For  string
}

// PrepareFileSystem makes a file system as the detached mount Slot.
type PrepareFileSystem struct {
	Slot       int
	FileSystem string
	Parameters []string
	Flags      []string
	For        string
}

// Attach puts Slot at Path.
type Attach struct {
	Slot int
	Path string
	// Type is a propagation that the mounts get then, or "".
	Type Propagation
}

// EnterRoot makes Slot, attached at Path, the root directory.
type EnterRoot struct {
	Slot int
	Path string
}

// SetHostname, LoopbackUp and NewSession are what their names say.
type (
	SetHostname struct{ Name string }
	LoopbackUp  struct{}
	NewSession  struct{}
)

// Become changes ids.
type Become struct {
	Identity
	SetGroups bool
	KeepCaps  bool
}

// KeepCaps makes capabilities ambient.
type KeepCaps struct{ Capabilities uint64 }

// EnterDirectory changes the working directory. With Return it is the caller's, which may be covered or gone: / then.
type EnterDirectory struct {
	Path   string
	Return bool
}

// Execute is the command.
type Execute struct {
	Argv, Env []string
	// Paths are where it may be.
	Paths []string
}
