package main

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// program is this package as a reader sees it: what each function uses, and which variables flags are stored in.
type program struct {
	info    *types.Info
	bodies  map[types.Object]*ast.BlockStmt
	methods map[string][]types.Object // by name: an interface may call any of them
	makers  []types.Object            // functions that return a command
}

// nothing imports packages that have nothing in them: the names of this one are all that matters here.
type nothing struct{}

func (nothing) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, filepath.Base(path))
	p.MarkComplete()
	return p, nil
}

func readProgram(t *testing.T) *program {
	t.Helper()
	fset := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var files []*ast.File
	for _, name := range names {
		built, err := build.Default.MatchFile(".", name)
		require.NoError(t, err)
		if !built || strings.HasSuffix(name, "_test.go") { // the demo is a build of its own
			continue
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, file)
	}
	p := &program{
		info:   &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}},
		bodies: map[types.Object]*ast.BlockStmt{}, methods: map[string][]types.Object{},
	}
	cfg := types.Config{Importer: nothing{}, Error: func(error) {}} // what is imported is not there
	cfg.Check("main", fset, files, p.info)                          // so there are errors
	for _, file := range files {
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				obj := p.info.Defs[fn.Name]
				p.bodies[obj] = fn.Body
				if fn.Recv == nil && fn.Type.Results != nil && types.ExprString(fn.Type.Results.List[0].Type) == "*cobra.Command" {
					p.makers = append(p.makers, obj)
				}
				if fn.Recv != nil {
					p.methods[fn.Name.Name] = append(p.methods[fn.Name.Name], obj)
				}
			}
		}
	}
	return p
}

// reach returns the functions that a function may come to call.
func (p *program) reach(from types.Object) map[types.Object]bool {
	found := map[types.Object]bool{}
	var visit func(types.Object)
	visit = func(fn types.Object) {
		if found[fn] {
			return
		}
		found[fn] = true
		body := p.bodies[fn]
		if body == nil { // of an interface
			for _, m := range p.methods[fn.Name()] {
				visit(m)
			}
			return
		}
		ast.Inspect(body, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				if fn, ok := p.info.Uses[id].(*types.Func); ok && fn.Pkg() != nil && fn.Pkg().Name() == "main" {
					visit(fn)
				}
			}
			return true
		})
	}
	visit(from)
	return found
}

var registers = regexp.MustCompile(`^(Bool|String|Int|Int64|Uint64|Float64|Duration|StringSlice|StringArray|IntSlice|Count)?VarP?$`)

// bound returns the variable in which a call registers a flag, and the flag's name, as far as the call says it.
func (p *program) bound(call *ast.CallExpr) (variable *ast.Ident, name string) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !registers.MatchString(sel.Sel.Name) || len(call.Args) < 3 {
		return nil, ""
	}
	ast.Inspect(call.Args[0], func(n ast.Node) bool {
		if address, ok := n.(*ast.UnaryExpr); ok && address.Op == token.AND {
			switch x := address.X.(type) {
			case *ast.Ident:
				variable = x
			case *ast.SelectorExpr:
				variable = x.Sel
			}
		}
		return true
	})
	ast.Inspect(call.Args[1], func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok {
			text, _ := strconv.Unquote(lit.Value)
			name += text
		}
		return true
	})
	return variable, name
}

// uses returns the variables that functions register flags in, and those whose value they read.
func (p *program) uses(functions map[types.Object]bool) (flags map[types.Object]string, read map[types.Object]bool) {
	flags, read = map[types.Object]string{}, map[types.Object]bool{}
	for fn := range functions {
		if p.bodies[fn] == nil {
			continue
		}
		written := map[*ast.Ident]bool{}
		ast.Inspect(p.bodies[fn], func(n ast.Node) bool {
			switch x := n.(type) {
			case *ast.CallExpr:
				if variable, name := p.bound(x); variable != nil {
					written[variable] = true
					flags[p.info.Uses[variable]] = name
				}
			case *ast.AssignStmt:
				for _, left := range x.Lhs {
					switch l := left.(type) {
					case *ast.Ident:
						written[l] = true
					case *ast.SelectorExpr:
						written[l.Sel] = true
					}
				}
			case *ast.Ident:
				if v, ok := p.info.Uses[x].(*types.Var); ok && !written[x] {
					read[v] = true
				}
			}
			return true
		})
	}
	return flags, read
}

// Every flag that a command takes is read by a function that the command can come to call.
func TestEachFlagOfEachCommandIsRead(t *testing.T) {
	p := readProgram(t)
	known := map[string]bool{}
	for _, fn := range p.makers {
		if fn.Name() == "newRoot" { // it reaches all the others
			continue
		}
		flags, read := p.uses(p.reach(fn))
		for variable, name := range flags {
			known[name] = true
			require.NotNil(t, variable, "%s: --%s", fn.Name(), name)
			require.True(t, read[variable], "%s takes --%s and does not look at it: let it take only what it reads", fn.Name(), name)
		}
	}
	each(newRoot(), func(cmd *cobra.Command, flag string) {
		_, part, _ := strings.Cut(flag, "-") // the flags of TLS are made of two parts
		require.True(t, known[flag] || known["-"+part], "granter %s --%s is registered in a way that this test does not see", cmd.Name(), flag)
	})
}

// each calls fn for every flag of every command that granter adds itself.
func each(cmd *cobra.Command, fn func(cmd *cobra.Command, flag string)) {
	for _, sub := range cmd.Commands() {
		for _, name := range flagNames(sub) {
			fn(sub, name)
		}
		each(sub, fn)
	}
}

func flagNames(cmd *cobra.Command) (names []string) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// specFileOf writes the spec of some campaign.
func specFileOf(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "campaign.yaml")
	text := "campaign: any\ntitle: Any\nstarts_at: 2023-01-05T00:00:00+09:00\nsource: {topic: any}\nitems: [{id: thing, kind: item, validity: permanent}]\n"
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// What changes nothing is refused, before anybody is asked anything.
func TestFlagsThatChangeNothingAreRefused(t *testing.T) {
	for args, says := range map[string]string{
		"run --kafka-key k.pem":                           "client certificate",
		"run --redis-key k.pem":                           "client certificate",
		"status --redis-user u":                           "--redis-user needs the password",
		"status --redis-sentinel-user u":                  "--redis-sentinel-user changes nothing without --redis-sentinel",
		"status --redis-sentinel m --redis-sentinel-user": "needs an argument",
		"run --desk-access a":                             "--desk-access changes nothing without --desk",
		"run --why x":                                     "--why changes nothing without --now or --throttle",
		"pause --why x --desk-ca a":                       "--desk-ca changes nothing without --desk-url",
		"pause --why x --desk-url http://127.0.0.1:1 --redis 127.0.0.1:1": "--redis changes nothing beside --desk-url",
		"history --desk-url http://127.0.0.1:1 --redis-db 3":              "--redis-db changes nothing beside --desk-url",
		"run --dry-run --linger 1m":                                       "--linger changes nothing beside --dry-run",
		"run --dry-run --finish-by 2023-01-05T02:00:00+09:00":             "--finish-by changes nothing beside --dry-run",
		"run --dry-run --force --why x":                                   "--force changes nothing beside --dry-run",
		"pause --why x --brokers 127.0.0.1:1":                             "unknown flag: --brokers",
		"verify --group g 1":                                              "unknown flag: --group",
		"status --retry-for 1s":                                           "unknown flag: --retry-for",
		"load --redis 127.0.0.1:1":                                        "unknown flag: --redis",
	} {
		fields := strings.Fields(args)
		if !strings.Contains(args, "-f ") {
			fields = append([]string{fields[0], "-f", specFileOf(t)}, fields[1:]...)
		}
		p := granter(t, command{args: fields})
		require.Equal(t, exitUsage, p.wait(), "%s: %s", args, p.err.String())
		require.Contains(t, p.err.String(), says, args)
	}
}

// The environment is shared by commands that have different needs.
func TestTheEnvironmentMaySayMoreThanACommandNeeds(t *testing.T) {
	p := granter(t, command{
		args: []string{"run", "-f", specFileOf(t), "--redis", "127.0.0.1:1", "--retry-for", "1ms", "--timeout", "100ms", "--brokers", "127.0.0.1:1", "--listen", "off"},
		env:  []string{"GRANTER_DESK_ACCESS=a", "GRANTER_WHY=x", "GRANTER_REDIS_SENTINEL_USER=", "GRANTER_DESK_URL=http://127.0.0.1:1"},
	})
	require.NotEqual(t, exitUsage, p.wait(), p.err.String())
}
